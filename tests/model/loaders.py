"""Every output of `sparse24 compress`, opened by the programs it is written for: the perplexity that they compute against the one that is printed.
transformers with compressed-tensors, GPTQModel and PEFT for folders; llama.cpp (the package xllamacpp, its C functions) and gguf for GGUF. Part of
the nightly run: what is not installed goes into a virtual environment.  loaders.py SPARSE24 [ENVIRONMENT]"""
import ctypes
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = {"numpy": "numpy", "safetensors": "safetensors", "gguf": "gguf", "torch": "torch", "transformers": "transformers",
            "compressed_tensors": "compressed-tensors", "peft": "peft", "optimum": "optimum", "gptqmodel": "gptqmodel", "xllamacpp": "xllamacpp"}


def install(environment):
    """Run again where everything is there."""
    python = pathlib.Path(environment, "bin", "python3")
    if not python.exists():
        venv.create(environment, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--extra-index-url", "https://download.pytorch.org/whl/cpu",
                        *PACKAGES.values()], check=True)
    os.execv(python, [str(python), *sys.argv, "installed"])


if any(importlib.util.find_spec(name) is None for name in PACKAGES):
    if sys.argv[-1] == "installed":
        sys.exit("packages are missing although they were installed: remove the environment")
    install(sys.argv[2] if len(sys.argv) > 2 else str(ROOT / "build/loaders-model"))

os.environ |= {"TORCHDYNAMO_DISABLE": "1", "CUDA_VISIBLE_DEVICES": ""}  # compiling takes longer than all of it
import gguf
import numpy
import peft
import torch
import transformers
import xllamacpp
from safetensors.numpy import load_file, save_file

PROGRAM = os.path.abspath(sys.argv[1])
failed = 0


def check(name, good):
    global failed
    failed += not good
    print("ok" if good else "not ok", "-", name, flush=True)


def near(name, ours, theirs, tolerance):
    check(f"{name}: printed {ours:.6f}, loaded {theirs:.6f}", abs(theirs / ours - 1) < tolerance)


# ---- The model ----


def make_folder(folder):
    """Random weights that make logits differ; a folder as transformers writes it, and rows of ids."""
    torch.manual_seed(1)
    config = transformers.LlamaConfig(hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                      vocab_size=256, max_position_embeddings=128, tie_word_embeddings=False)
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:
                parameter.normal_(0, .7 if "embed" in name else .09)
    model.to(torch.bfloat16).save_pretrained(folder / "source")
    generator = numpy.random.default_rng(1)
    save_file({"calib": generator.integers(0, 256, (16, 64), "i4"), "test": generator.integers(0, 256, (4, 64), "i4")},
              folder / "tokens.safetensors")


def compress(folder, source, out, tokens, *options):
    """The perplexity that is printed."""
    done = subprocess.run([PROGRAM, "compress", folder / source, "--calib", f"{tokens}:calib", "--eval", f"{tokens}:test", "--heldout", "0",
                           "--json", "--out", folder / out, *options], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{out}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])["perplexity_after"]


SMALLER = ["--rule", "mlp=columns 25%", "--rule", "attention=groups 1 kept"]

# ---- Folders ----


def perplexity(model, rows):
    ids = torch.from_numpy(rows.astype("i8"))
    with torch.no_grad():
        logits = model.eval()(input_ids=ids).logits.double()
    picked = torch.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None])
    return float(torch.exp(-picked.mean()))


def load(path, **options):
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **options)


def folders(folder):
    tokens = folder / "tokens.safetensors"
    rows = load_file(tokens)["test"]
    cases = [("dense", "2:4", []), ("pack-quantized", "int4 sym g32", []), ("pack-quantized", "2:4+int4 sym g32", ["--skip", "*.0.*.k_proj"]),
             ("pack-quantized", "int8 sym", []),
             ("pack-quantized-all", "int4 sym g32", []), ("pack-quantized", "int4 sym g32", ["--rule", "*.k_proj=int8 sym g64"]),
             ("gptq", "int4 sym g32", []), ("gptq", "2:4+int4 sym g32", ["--skip", "*.0.*.k_proj"]), ("gptq-v2", "int4 g32", []),
             ("gptq-v2", "int4 sym g32", []), ("adapter", "2:4+rank 8", []), ("adapter", "2:4+int4 sym g32+rank 8", [])]
    for number, (form, constraints, rest) in enumerate(cases):
        out = folder / f"out{number}"
        ours = compress(folder, "source", out.name, tokens, "--constraints", constraints, "--format", form, *rest)
        gptq = form.startswith("gptq")
        model = load(out, **({"quantization_config": transformers.GPTQConfig(bits=4, backend="torch")} if gptq else {}))
        if form == "adapter":
            model = peft.PeftModel.from_pretrained(model, out / "adapter")
        near(f"{form} {constraints} {' '.join(rest)}", ours, perplexity(model, rows), 1e-3 if gptq else 1e-5)
    ours = compress(folder, "source", "smaller", tokens, *SMALLER)
    near("smaller", ours, perplexity(load(folder / "smaller"), rows), 1e-5)


# ---- GGUF ----


class Opaque(ctypes.Structure):
    """A struct of parameters that goes by value: larger than any, of which we know but the beginning."""
    _fields_ = [("bytes", ctypes.c_uint8 * 512)]


class Batch(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)), ("embd", ctypes.c_void_p), ("pos", ctypes.POINTER(ctypes.c_int32)),
                ("n_seq_id", ctypes.POINTER(ctypes.c_int32)), ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
                ("logits", ctypes.POINTER(ctypes.c_int8))]


def llama_library():
    library = ctypes.CDLL(str(next(pathlib.Path(xllamacpp.__file__).parent.glob("*.so"))))
    pointer, integer = ctypes.c_void_p, ctypes.c_int32
    for name, result, *arguments in (("model_default_params", Opaque), ("context_default_params", Opaque), ("batch_init", Batch, integer, integer, integer),
                                     ("model_load_from_file", pointer, ctypes.c_char_p, Opaque), ("init_from_model", pointer, pointer, Opaque),
                                     ("decode", integer, pointer, Batch), ("get_logits_ith", ctypes.POINTER(ctypes.c_float), pointer, integer),
                                     ("get_memory", pointer, pointer), ("memory_clear", None, pointer, ctypes.c_bool)):
        function = getattr(library, "llama_" + name)
        function.restype, function.argtypes = result, arguments
    library.llama_backend_init()
    return library


def llama_perplexity(library, path, rows, vocabulary):
    length, total = rows.shape[1], 0.
    parameters = library.llama_context_default_params()
    (ctypes.c_uint32 * 3).from_buffer(parameters)[:] = [length] * 3  # n_ctx, n_batch, n_ubatch
    model = library.llama_model_load_from_file(str(path).encode(), library.llama_model_default_params())
    context = library.llama_init_from_model(model, parameters) if model else None
    if not context:
        return float("nan")
    for row in rows:
        library.llama_memory_clear(library.llama_get_memory(context), True)
        batch = library.llama_batch_init(length, 0, 1)
        batch.count = length
        for i, token in enumerate(row):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = int(token), i, 1, 0, 1
        if library.llama_decode(context, batch):
            return float("nan")
        for i in range(length - 1):
            logits = numpy.ctypeslib.as_array(library.llama_get_logits_ith(context, i), (vocabulary,)).astype("f8")
            total += numpy.log(numpy.exp(logits - logits.max()).sum()) + logits.max() - logits[row[i + 1]]
    return float(numpy.exp(total / (len(rows) * (length - 1))))


def write_gguf(folder):
    """The folder's model as llama.cpp's converter has it: q and k interleaved, a vocabulary of bytes."""
    weights = {name: tensor.float().numpy() for name, tensor in load(folder / "source").state_dict().items()}
    writer = gguf.GGUFWriter(folder / "tiny-F32.gguf", "llama")
    for key, value in {"context_length": 128, "embedding_length": 128, "block_count": 2, "feed_forward_length": 256, "head_count": 4, "head_count_kv": 2,
                       "rope_dimension_count": 32, "vocab_size": 256}.items():
        getattr(writer, "add_" + key)(value)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.)
    writer.add_file_type(0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"t{i}" for i in range(256)])
    writer.add_token_scores([0.] * 256)
    writer.add_token_types([1] * 256)
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
             "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    for name, tensor in weights.items():
        heads = 4 if ".q_proj" in name else 2 if ".k_proj" in name else 0
        if heads:
            tensor = tensor.reshape(heads, 2, 16, 128).swapaxes(1, 2).reshape(tensor.shape)
        name = name.removesuffix(".weight")
        block = name.removeprefix("model.layers.")
        if block != name:
            number, part = block.split(".", 1)
            name = f"blk.{number}.{names[part]}"
        else:
            name = names[name]
        writer.add_tensor(name + ".weight", numpy.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def ggufs(folder):
    """llama.cpp rounds activations to 8 bits where weights are blocks: on random weights up to some tenths of a percent."""
    tokens, library = folder / "tokens.safetensors", llama_library()
    rows = load_file(tokens)["test"]
    write_gguf(folder)
    for store, constraints, number in (("q4_0", "2:4+int4 sym g32", 2), ("q4_1", "int4 real g32", 3), ("q8_0", "int8 sym g32", 7)):
        out = folder / store
        ours = compress(folder, "tiny-F32.gguf", store, tokens, "--constraints", constraints, "--store", store)
        path = out / f"tiny-{store.upper()}.gguf"
        near(f"{store} {constraints}, llama.cpp", ours, llama_perplexity(library, path, rows, 256), 1e-2)
        reader = gguf.GGUFReader(path)
        types = {t.tensor_type.name for t in reader.tensors if t.name.startswith("blk.") and "norm" not in t.name}
        check(f"{store}: gguf says {types}, file type {number}", types == {store.upper()} and
              int(reader.fields["general.file_type"].contents()) == number)
        told = subprocess.run([PROGRAM, "eval", path, "--tokens", f"{tokens}:test", "--json"], capture_output=True, text=True, check=True).stdout
        check(f"{store}: sparse24 eval prints the same", json.loads(told.splitlines()[-1])["perplexity"] == ours)
    for out, options in (("smaller", SMALLER), ("moved", ["--constraints", "2:4"])):
        ours = compress(folder, "tiny-F32.gguf", out, tokens, *options)
        near(f"{out}, llama.cpp", ours, llama_perplexity(library, folder / out / "tiny-F32.gguf", rows, 256), 1e-3)


with tempfile.TemporaryDirectory() as name:
    place = pathlib.Path(name)
    make_folder(place)
    ggufs(place)
    folders(place)
sys.exit(failed > 0)
