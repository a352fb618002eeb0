"""Tiny models of many architectures with weights from tiny.h's formula, and their logits by the `transformers` package (5.24.0 with torch
on the CPU, double precision, eager attention).

    make_families.py families.safetensors [FOLDER [NAME...]]

writes what test_families.c needs: of each model its config.json, names and shapes of its tensors as metadata, and the logits of one row.
With FOLDER the models themselves are left there, a folder each. Needs torch, transformers, numpy, safetensors; run once, the file is kept."""
import json
import os
import sys
import tempfile
import warnings

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.numpy import save_file

LENGTH, VOCAB = 24, 48
warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)

SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8)
OLD = dict(n_embd=32, n_layer=2, n_head=4, n_positions=64, n_inner=48)
EXPERTS = dict(num_experts=8, num_local_experts=8, n_routed_experts=8, num_experts_per_tok=2, moe_intermediate_size=16)
FULL, WINDOW = "full_attention", "sliding_attention"


def rope(kind="default", **more):
    return {"rope_type": kind, "rope_theta": 10000.0, **more}


LONG = dict(factor=4.0, original_max_position_embeddings=8)
DELTA = dict(linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=8,
             layer_types=["linear_attention", FULL])
# Where eager attention is not what the model does: transformers 5.24 adds ALiBi to Falcon's mask and once more to its scores.
ATTENTION = {"falcon-rw": "sdpa"}
# What is compared of encoders: hidden states. One is saved without a head, and so without what stands before names.
ENCODERS = {**dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "distilbert"), transformers.AutoModelForMaskedLM),
            **dict.fromkeys(("bert-plain", "electra", "vit-plain"), transformers.AutoModel),
            "vit": transformers.AutoModelForImageClassification}
# Name -> model type and what its configuration says beside sizes.
MODELS = {
    "llama-gelu": ("llama", dict(hidden_act="gelu")),
    "ministral": ("ministral", dict(sliding_window=5, layer_types=[WINDOW, FULL])),
    "ministral3": ("ministral3", dict(rope_parameters=rope("yarn", **LONG, mscale=1.0, mscale_all_dim=1.0, beta_fast=8.0, beta_slow=1.0,
                                                           llama_4_scaling_beta=0.3))),
    "seed_oss": ("seed_oss", dict(attention_bias=True, attention_out_bias=False)),
    "ernie4_5": ("ernie4_5", dict(use_bias=True)),
    "smollm3": ("smollm3", dict(num_hidden_layers=4, no_rope_layer_interval=2)),
    "hunyuan": ("hunyuan_v1_dense", dict()),
    "granite": ("granite", dict(embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=2.0)),
    "olmo": ("olmo", dict()),
    "olmo2": ("olmo2", dict()),
    "olmo3": ("olmo3", dict(num_hidden_layers=4, sliding_window=5, layer_types=[WINDOW, WINDOW, WINDOW, FULL])),
    "exaone4": ("exaone4", dict(num_hidden_layers=4, sliding_window=5, layer_types=[WINDOW, WINDOW, WINDOW, FULL])),
    "gemma": ("gemma", dict()),
    "gemma2": ("gemma2", dict(query_pre_attn_scalar=13, sliding_window=5, attn_logit_softcapping=2.0, final_logit_softcapping=5.0)),
    "gemma3": ("gemma3_text", dict(num_hidden_layers=3, query_pre_attn_scalar=13, sliding_window=5, layer_types=[WINDOW, WINDOW, FULL],
                                   rope_parameters={WINDOW: rope(), FULL: rope("linear", factor=2.0)})),
    "gemma2-plain": ("gemma2", dict(query_pre_attn_scalar=8, sliding_window=5, attn_logit_softcapping=2.0, final_logit_softcapping=5.0)),
    "gemma3-plain": ("gemma3_text", dict(num_hidden_layers=6, query_pre_attn_scalar=8, sliding_window=5,
                                         rope_parameters={WINDOW: rope(), FULL: rope("linear", factor=2.0)})),
    "smollm3-fourth": ("smollm3", dict(num_hidden_layers=4)),
    "qwen3_moe-all": ("qwen3_moe", dict(EXPERTS, norm_topk_prob=True)),
    "phi3": ("phi3", dict(sliding_window=5)),
    "phi4-mini": ("phi3", dict(max_position_embeddings=64, original_max_position_embeddings=8,
                               rope_parameters=rope("longrope", **LONG, partial_rotary_factor=0.75, short_factor=[1.0, 1.1, 1.2],
                                                    long_factor=[2.0, 2.5, 3.0]))),
    "glm": ("glm", dict(attention_bias=True)),
    "glm4": ("glm4", dict()),
    "cohere": ("cohere", dict(logit_scale=0.3)),
    "cohere-plus": ("cohere", dict(use_qk_norm=True)),
    "cohere2": ("cohere2", dict(num_hidden_layers=4, sliding_window=5)),
    "helium": ("helium", dict()),
    "stablelm": ("stablelm", dict(use_qkv_bias=True)),
    "stablelm-parallel": ("stablelm", dict(use_parallel_residual=True)),
    "nemotron": ("nemotron", dict()),
    "starcoder2": ("starcoder2", dict(sliding_window=5)),
    "phi": ("phi", dict(num_key_value_heads=4)),
    "opt": ("opt", dict(ffn_dim=48, word_embed_proj_dim=32, max_position_embeddings=64)),
    "opt-350m": ("opt", dict(ffn_dim=48, word_embed_proj_dim=16, max_position_embeddings=64, do_layer_norm_before=False)),
    "gpt2": ("gpt2", OLD),
    "gpt_bigcode": ("gpt_bigcode", OLD),
    "gpt_neo": ("gpt_neo", dict(num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=5,
                                max_position_embeddings=64)),
    "gptj": ("gptj", dict(OLD, rotary_dim=4)),
    "pythia": ("gpt_neox", dict(rope_parameters=rope(partial_rotary_factor=0.25))),
    "gpt_neox-seq": ("gpt_neox", dict(use_parallel_residual=False, attention_bias=False)),
    "falcon-7b": ("falcon", dict(bias=False)),
    "falcon-40b": ("falcon", dict(new_decoder_architecture=True, num_kv_heads=2)),
    "falcon-rw": ("falcon", dict(alibi=True, multi_query=False, parallel_attn=False, bias=True)),
    "bloom": ("bloom", dict(n_layer=2, n_head=4)),
    "mpt": ("mpt", dict(d_model=32, n_heads=4, n_layers=2, max_seq_len=64)),
    "biogpt": ("biogpt", dict(max_position_embeddings=64)),
    "arcee": ("arcee", dict()),
    "mixtral": ("mixtral", dict(EXPERTS, intermediate_size=16)),
    "qwen2_moe": ("qwen2_moe", dict(EXPERTS, shared_expert_intermediate_size=24, norm_topk_prob=False)),
    "qwen3_moe": ("qwen3_moe", dict(EXPERTS, mlp_only_layers=[1])),
    "olmoe": ("olmoe", dict(EXPERTS, intermediate_size=16, norm_topk_prob=True)),
    "phimoe": ("phimoe", dict(EXPERTS, intermediate_size=16, lm_head_bias=True, attention_bias=True)),
    "phimoe-plain": ("phimoe", dict(EXPERTS, intermediate_size=16, lm_head_bias=False, attention_bias=False)),
    "granitemoe": ("granitemoe", dict(EXPERTS, intermediate_size=16, attention_multiplier=0.2)),
    "gpt_oss": ("gpt_oss", dict(EXPERTS, intermediate_size=16, sliding_window=5,
                                rope_parameters=rope("yarn", **LONG, beta_fast=32.0, beta_slow=1.0, truncate=False))),
    "glm4_moe": ("glm4_moe", dict(EXPERTS, num_hidden_layers=2, first_k_dense_replace=1, n_group=2, topk_group=1, n_shared_experts=1,
                                  use_qk_norm=True, routed_scaling_factor=1.5, norm_topk_prob=True)),
    "ernie4_5_moe": ("ernie4_5_moe", dict(EXPERTS, moe_num_experts=8, moe_k=2, moe_layer_start_index=1, moe_num_shared_experts=1)),
    "dots1": ("dots1", dict(EXPERTS, first_k_dense_replace=1, n_shared_experts=1, n_group=1, topk_group=1, norm_topk_prob=True)),
    "flex_olmo": ("flex_olmo", dict(EXPERTS, intermediate_size=16)),
    "hunyuan_moe": ("hunyuan_v1_moe", dict(EXPERTS, moe_topk=[2, 2], intermediate_size=16)),
    "qwen3.5": ("qwen3_5_text", dict(DELTA)),
    "qwen3.5-moe": ("qwen3_5_moe_text", dict(DELTA, **EXPERTS, shared_expert_intermediate_size=24)),
    "bert": ("bert", dict(max_position_embeddings=64)),
    "vit": ("vit", dict(image_size=16, patch_size=4, num_channels=3)),
    "vit-plain": ("vit", dict(image_size=12, patch_size=6, num_channels=1, qkv_bias=False)),
    "bert-plain": ("bert", dict(max_position_embeddings=64, type_vocab_size=1, hidden_act="gelu_new")),
    "roberta": ("roberta", dict(max_position_embeddings=64, pad_token_id=1)),
    "xlm-roberta": ("xlm-roberta", dict(max_position_embeddings=64, pad_token_id=1)),
    "camembert": ("camembert", dict(max_position_embeddings=64, pad_token_id=1)),
    "electra": ("electra", dict(max_position_embeddings=64, embedding_size=32)),
    "distilbert": ("distilbert", dict(dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=64)),
}


def values(name, shape):
    """tiny_tensor() of tiny.h."""
    mask, state = (1 << 64) - 1, 14695981039346656037
    for byte in name.encode():
        state = ((state ^ byte) * 1099511628211) & mask
    scale, offset = 1.0 if "embed" in name else 0.25, 1.0 if "norm" in name else 0.0
    out = np.empty(int(np.prod(shape)), np.float32)
    for i in range(out.size):
        state = (state * 6364136223846793005 + 1442695040888963407) & mask
        out[i] = offset + scale * ((state >> 40) / 8388608 - 1)
    return out.reshape(shape)


def pixels(config):
    """One image, whose values are those of a tensor."""
    shape = (1, config.num_channels, config.image_size, config.image_size)
    return torch.from_numpy(values("pixels", shape)).double()


def run(name, folder, ids, attention):
    """Logits, or the hidden states of an encoder."""
    options = dict(dtype=torch.float64, attn_implementation=attention, experts_implementation="eager")
    if name in ENCODERS:
        del options["experts_implementation"]
        net = transformers.AutoModel.from_pretrained(folder, **options).eval()
        return net(pixels(net.config) if net.config.model_type == "vit" else ids).last_hidden_state[0]
    return transformers.AutoModelForCausalLM.from_pretrained(folder, **options).eval()(ids).logits[0]


def make(name, kind, options, folder, attention):
    sizes = {} if "n_embd" in options or "d_model" in options or "n_layers" in options else dict(SIZES)
    if kind == "falcon" or name in ENCODERS:
        sizes.pop("head_dim", None)
    config = transformers.CONFIG_MAPPING[kind](**{**sizes, "max_position_embeddings": 128, "vocab_size": VOCAB, "pad_token_id": 0,
                                                  "bos_token_id": 1, "eos_token_id": 2, **options})
    ENCODERS.get(name, transformers.AutoModelForCausalLM).from_config(config, dtype=torch.float32).save_pretrained(folder)
    path = os.path.join(folder, "model.safetensors")
    with safe_open(path, "np") as f:
        shapes = {name: f.get_slice(name).get_shape() for name in f.keys()}
    save_file({name: values(name, shape) for name, shape in shapes.items()}, path, {"format": "pt"})
    with torch.no_grad():
        ids = torch.tensor([[(7 * t * t + 3 * t + 5) % VOCAB for t in range(LENGTH)]])
        return shapes, run(name, folder, ids, attention).float().numpy()


def main():
    out, kept = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    golden, notes = {}, {}
    for name, (kind, options) in MODELS.items():
        if sys.argv[3:] and name not in sys.argv[3:]:
            continue
        folder = os.path.join(kept, name) if kept else tempfile.mkdtemp()
        try:
            shapes, golden[name] = make(name, kind, options, folder, ATTENTION.get(name, "eager"))
        except Exception as e:  # a model type that this transformers does not know, or makes otherwise
            print(f"{name}: {type(e).__name__}: {str(e)[:300]}", file=sys.stderr)
            continue
        notes[name + ".config"] = json.dumps(json.load(open(os.path.join(folder, "config.json"))), separators=(",", ":"))
        notes[name + ".tensors"] = ";".join(f"{n}:{'x'.join(map(str, s))}" for n, s in sorted(shapes.items()))
        print(f"{name}: {len(shapes)} tensors, logits up to {np.abs(golden[name]).max():.3g}", flush=True)
    save_file(golden, out, notes)


if __name__ == "__main__":
    main()
