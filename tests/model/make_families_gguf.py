"""How llama.cpp's converter would write the models of families.safetensors: keys, and each tensor with what becomes of its source.

    make_families_gguf.py families.safetensors

adds to the metadata `NAME.keys` ("key=value;...", without the architecture's name, which comes first) and `NAME.sources`
("tensor=source:step:number;..."). Names are those of the `gguf` package (0.19.0). The models were compared with llama.cpp b11549.
Steps: copy; plus, 1 is added; pairs, rows of so many heads so that halves become neighbours; blocks, rows of q, k, v by so many heads
one after the other; turn, transposed; stack, of so many experts; upper and lower, halves of a stacked tensor's rows."""
import json
import sys

import gguf
from safetensors import safe_open
from safetensors.numpy import save_file

ARCHITECTURES = dict(
    gemma="gemma", gemma2="gemma2", gemma3_text="gemma3", phi3="phi3", phi="phi2", granite="granite", olmo="olmo", olmo2="olmo2",
    smollm3="smollm3", cohere="command-r", cohere2="cohere2", glm4="glm4", exaone4="exaone4", seed_oss="seed_oss", ernie4_5="ernie4_5",
    hunyuan_v1_dense="hunyuan-dense", arcee="arcee", nemotron="nemotron", starcoder2="starcoder2", stablelm="stablelm",
    gpt_neox="gptneox", gpt2="gpt2", gpt_bigcode="starcoder", falcon="falcon", bloom="bloom", mpt="mpt", mixtral="llama",
    qwen2_moe="qwen2moe", qwen3_moe="qwen3moe", granitemoe="granitemoe")
# Those of which a GGUF file says less: another scale of scores, all layers turning, some dense layers, norms of heads, Falcon's others.
LEFT = {"gemma2", "gemma3", "smollm3", "qwen3_moe", "cohere-plus", "falcon-40b", "falcon-rw", "phi4-mini"}
LAYER = {"gpt2", "gpt_bigcode", "gpt_neox", "falcon", "bloom", "mpt", "phi", "starcoder2", "stablelm", "nemotron", "cohere", "cohere2", "olmo"}
PAIRS = {"granite", "granitemoe", "olmo", "smollm3", "arcee", "mixtral"}


def keys_of(c):
    kind = c["model_type"]

    def first(*names, d=None):
        return next((c[n] for n in names if c.get(n) is not None), d)

    hidden, heads = first("hidden_size", "n_embd", "d_model"), first("num_attention_heads", "n_head", "n_heads")
    kv = heads if kind in ("gpt2", "gpt_neox", "bloom", "mpt") else 1 if kind in ("gpt_bigcode", "falcon") else first("num_key_value_heads", d=heads)
    head = first("head_dim", d=hidden // heads)
    rope = c.get("rope_parameters") or {}
    rope = rope.get("full_attention", rope)
    keys = {"context_length": first("max_position_embeddings", "n_positions", "max_seq_len", d=2048), "embedding_length": hidden,
            "block_count": first("num_hidden_layers", "n_layer", "n_layers"), "attention.head_count": heads, "attention.head_count_kv": kv,
            "feed_forward_length": 4 * hidden if kind in ("falcon", "bloom", "mpt") else first("intermediate_size", "n_inner"),
            "vocab_size": c["vocab_size"], "attention.key_length": head, "attention.value_length": head}
    keys["attention.layer_norm_epsilon" if kind in LAYER else "attention.layer_norm_rms_epsilon"] = first(
        "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps", d=1e-5)
    if rope:
        keys["rope.freq_base"] = rope["rope_theta"]
        keys["rope.dimension_count"] = int(head * rope.get("partial_rotary_factor", c.get("partial_rotary_factor", 1.0)))
    if rope.get("rope_type") == "linear":
        keys.update({"rope.scaling.type": "linear", "rope.scaling.factor": rope["factor"]})
    for name in ("attn_logit_softcapping", "final_logit_softcapping", "sliding_window"):
        if c.get(name):
            keys[("attention." if name[0] == "s" else "") + name] = c[name]
    for name, key in (("attention_multiplier", "attention.scale"), ("embedding_multiplier", "embedding_scale"),
                      ("residual_multiplier", "residual_scale"), ("logits_scaling", "logit_scale"), ("logit_scale", "logit_scale")):
        if c.get(name) is not None:
            keys[key] = c[name]
    if "use_parallel_residual" in c:
        keys["use_parallel_residual"] = str(c["use_parallel_residual"]).lower()
    if kind == "mpt":
        keys["attention.max_alibi_bias"] = 8.0
    if "num_local_experts" in c or "num_experts" in c:
        keys.update({"expert_count": first("num_local_experts", "num_experts"), "expert_used_count": c["num_experts_per_tok"]})
        if kind.startswith("qwen"):
            keys["expert_feed_forward_length"] = c["moe_intermediate_size"]
        if kind == "qwen2_moe":
            keys["expert_shared_feed_forward_length"] = c["shared_expert_intermediate_size"]
    return keys, heads, kv


def step_of(kind, name, heads, kv):
    if name.endswith("norm.weight") and (kind.startswith("gemma") or kind == "nemotron"):
        return "plus:0"
    if kind in PAIRS and (".q_proj." in name or ".k_proj." in name):
        return f"pairs:{heads if '.q_proj.' in name else kv}"
    if kind in ("gpt_neox", "bloom") and "query_key_value" in name:
        return f"blocks:{heads}"
    if kind == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
        return "turn:0"
    return "copy:0"


def sources_of(c, names, heads, kv):
    kind, out = c["model_type"], []
    arch = {v: k for k, v in gguf.MODEL_ARCH_NAMES.items()}[ARCHITECTURES[kind]]
    table = gguf.get_tensor_name_map(arch, 8)
    for name in names:
        if name == "lm_head.weight" and c.get("tie_word_embeddings"):
            continue
        if kind == "granitemoe" and "input_linear" in name:
            block = "blk." + name.split(".")[2]
            out += [f"{block}.ffn_gate_exps.weight={name}:upper:0", f"{block}.ffn_up_exps.weight={name}:lower:0"]
        elif ".experts." in name:
            head, rest = name.split(".experts.")
            number, rest = rest.split(".", 1)
            if number == "0":
                new = table.get_name(f"{head}.experts.{rest}", try_suffixes=(".weight",))
                out.append(f"{new}={head}.experts.%d.{rest}:stack:8")
        else:
            new = table.get_name(name.removeprefix("transformer.") if kind == "bloom" else name, try_suffixes=(".weight", ".bias"))
            out.append(f"{new}={name}:{step_of(kind, name, heads, kv)}")
    return out


def main():
    with safe_open(sys.argv[1], "np") as f:
        notes, tensors = f.metadata(), {k: f.get_tensor(k) for k in f.keys()}
    for name in tensors:
        c = json.loads(notes[name + ".config"])
        if c["model_type"] not in ARCHITECTURES or name in LEFT:
            continue
        keys, heads, kv = keys_of(c)
        names = [t.split(":")[0] for t in notes[name + ".tensors"].split(";")]
        notes[name + ".keys"] = ";".join([ARCHITECTURES[c["model_type"]]] + [f"{k}={v}" for k, v in keys.items()])
        notes[name + ".sources"] = ";".join(sources_of(c, names, heads, kv))
        print(name)
    save_file(tensors, sys.argv[1], notes)


main()
