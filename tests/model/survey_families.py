"""The table of docs/families.md: every model of make_families.py through the program and back through transformers.

    survey_families.py SPARSE24 FOLDER > docs/families.md

FOLDER holds the models (make_families.py families.safetensors FOLDER). For each: `eval` against transformers (relative difference of
the perplexity), `compress --constraints 2:4`, `check`, and the result loaded in transformers and evaluated by both. Needs torch and
transformers; nightly runs it where they are. Exits with 1 if a model fails."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
ROWS, LENGTH, VOCAB = 8, 24, 48
SDPA = {"falcon-rw"}  # make_families.py
ENCODERS = {"bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "vit"}
TITLE = """# Architectures

Made by `tests/model/survey_families.py` from tiny random models (`tests/model/make_families.py`): 2 to 4 layers, width
32, every feature of the architecture switched on. *eval* is the relative difference of the perplexity of %d x %d tokens
from transformers %s in double precision. *compress* is `--constraints 2:4 --correct 0.5 --solver sparsegpt`, *check*
says whether the result obeys. *reload* is the relative difference of the perplexity of the written model between
transformers and `sparse24 eval`. Encoders have no perplexity: *reload* compares the error of the last hidden states
that `compress` prints with transformers' of the written model; the dense hidden states are compared in `test_families`.

| model | model_type | eval | matrices | check | reload |
|---|---|---|---|---|---|"""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{command[1]}: {done.stderr.strip()[-200:]}")
    return done.stdout


def ours(program, folder, tokens):
    return json.loads(run(program, "eval", folder, "--tokens", tokens, "--json").splitlines()[-1])["perplexity"]


def theirs(name, folder, ids):
    attention = "sdpa" if name in SDPA else "eager"
    net = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation=attention,
                                                            experts_implementation="eager").eval()
    with torch.no_grad():
        logits = net(torch.from_numpy(ids).long()).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), torch.from_numpy(ids[:, 1:]).long().reshape(-1))
    return float(loss.exp())


def states(folder, ids):
    net = transformers.AutoModel.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    with torch.no_grad():
        return net(torch.from_numpy(ids).long() if ids.ndim == 2 else torch.from_numpy(ids).double()).last_hidden_state.numpy()


def survey_encoder(program, folder, scratch):
    """Hidden states take the place of perplexity: the error that compress prints against transformers' of the written model."""
    config, random = json.load(open(os.path.join(folder, "config.json"))), np.random.default_rng(1)
    ids = random.integers(3, VOCAB, (ROWS, LENGTH)).astype(np.int32)
    if config["model_type"] == "vit":
        ids = random.normal(size=(ROWS, config["num_channels"], config["image_size"], config["image_size"])).astype(np.float32)
    tokens, out = os.path.join(scratch, "tokens.safetensors"), os.path.join(scratch, "out")
    save_file({"ids": ids}, tokens)
    printed = run(program, "compress", folder, "--calib", tokens, "--eval", tokens, "--constraints", "2:4", "--solver", "sparsegpt",
                  "--correct", "0.5", "--heldout", "0", "--json", "--out", out)
    error = json.loads(printed.splitlines()[-1])["hidden_error"]
    dense, found = states(folder, ids), states(out, ids)
    obeys = run(program, "check", out, "--constraints", "2:4").splitlines()[-1]
    matrices = len(open(os.path.join(out, "records.jsonl")).read().splitlines())
    return None, matrices, " obey " in obeys, abs(error / (((found - dense) ** 2).sum() / (dense ** 2).sum()) - 1)


def survey(program, name, folder, scratch):
    ids = np.random.default_rng(1).integers(3, VOCAB, (ROWS, LENGTH)).astype(np.int32)
    tokens, out = os.path.join(scratch, "tokens.safetensors"), os.path.join(scratch, "out")
    save_file({"ids": ids}, tokens)
    before = abs(ours(program, folder, tokens) / theirs(name, folder, ids) - 1)
    run(program, "compress", folder, "--calib", tokens, "--constraints", "2:4", "--solver", "sparsegpt", "--correct", "0.5",
        "--heldout", "0", "--out", out)
    obeys = run(program, "check", out, "--constraints", "2:4").splitlines()[-1]
    after = abs(ours(program, out, tokens) / theirs(name, out, ids) - 1)
    matrices = len(open(os.path.join(out, "records.jsonl")).read().splitlines())
    return before, matrices, " obey " in obeys, after


def main():
    program, zoo = os.path.abspath(sys.argv[1]), sys.argv[2]
    print(TITLE % (ROWS, LENGTH, transformers.__version__))
    failed, types = 0, set()
    for name in sys.argv[3:] or sorted(os.listdir(zoo)):
        folder, scratch = os.path.join(zoo, name), tempfile.mkdtemp()
        kind = json.load(open(os.path.join(folder, "config.json")))["model_type"]
        try:
            encoder = kind in ENCODERS
            before, matrices, obeys, after = (survey_encoder(program, folder, scratch) if encoder else
                                              survey(program, name, folder, scratch))
            good = (encoder or before < 1e-4) and after < 1e-4 and obeys
            types |= {kind} if good else set()
            print(f"| {name} | `{kind}` | {'–' if encoder else f'{before:.0e}'} | {matrices} | {'ok' if obeys else 'no'} | {after:.0e} |", flush=True)
        except Exception as e:
            good = False
            print(f"| {name} | `{kind}` | {type(e).__name__}: {str(e)[:200]} | | | |", flush=True)
        failed += not good
        shutil.rmtree(scratch)
    print(f"\n{len(types)} model types beside `llama`, `mistral`, `qwen2` and `qwen3`, whose tests are `tests/model/test_forward.c`.")
    return failed > 0


sys.exit(main())
