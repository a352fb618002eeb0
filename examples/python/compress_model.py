"""A language model, 2:4 throughout: python3 compress_model.py MODEL TOKENS.safetensors OUT, with tokens "calib" and "test", a text a row."""
import sys

import sparse24

if len(sys.argv) != 4:
    sys.exit(__doc__)
path, tokens, out = sys.argv[1:]
with sparse24.Model(path) as model, sparse24.File(tokens) as file:
    done = model.compress(out, "2:4", file["calib"], test=file["test"], resume=True)
    print(f"perplexity {done.before['test']:.3f} before, {done.after['test']:.3f} after")
