"""Golden logits of the small models of tiny.h, by the `transformers` package (5.24.0 with torch on the CPU, double precision).
Usage: make_golden.py golden.safetensors. Needs torch, transformers, numpy, safetensors; run once, the file is kept."""
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM)

LENGTH = 24
SIZES = dict(num_hidden_layers=2, hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
             vocab_size=96, rms_norm_eps=1e-5, max_position_embeddings=1024, attn_implementation="eager")


def rope(theta=10000.0, **more):
    return {"rope_type": "default", "rope_theta": theta, **more}


LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8)
LONGROPE = dict(rope_type="longrope", factor=4.0, original_max_position_embeddings=8,
                short_factor=[1 + i / 8 for i in range(8)], long_factor=[2 + i / 4 for i in range(8)])
MODELS = {
    "llama": (LlamaConfig, LlamaForCausalLM, dict(tie_word_embeddings=True, rope_parameters=rope())),
    "llama_bias": (LlamaConfig, LlamaForCausalLM, dict(attention_bias=True, mlp_bias=True, rope_parameters=rope())),
    "llama_linear": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=rope(rope_type="linear", factor=4.0))),
    "llama3": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=rope(**LLAMA3))),
    "mistral": (MistralConfig, MistralForCausalLM, dict(sliding_window=7, rope_parameters=rope())),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, dict(tie_word_embeddings=True, rope_parameters=rope())),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, dict(head_dim=32, rms_norm_eps=1e-6, rope_parameters=rope(1e6))),
    "yarn": (Qwen2Config, Qwen2ForCausalLM, dict(rope_parameters=rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=4096))),
    "dynamic": (LlamaConfig, LlamaForCausalLM, dict(max_position_embeddings=8, rope_parameters=rope(rope_type="dynamic", factor=2.0))),
    "longrope": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=rope(**LONGROPE))),
    "layers": (Qwen3Config, Qwen3ForCausalLM, dict(use_sliding_window=True, sliding_window=5, rope_parameters=rope(),
                                                   layer_types=["sliding_attention", "full_attention"])),
}


def values(name, shape):
    """tiny_tensor() of tiny.h."""
    mask, state = (1 << 64) - 1, 14695981039346656037
    for byte in name.encode():
        state = ((state ^ byte) * 1099511628211) & mask
    scale, offset = 1.0 if "embed" in name else 0.25, 1.0 if "norm" in name else 0.0
    out = np.empty(int(np.prod(shape)))
    for i in range(out.size):
        state = (state * 6364136223846793005 + 1442695040888963407) & mask
        out[i] = offset + scale * ((state >> 40) / 8388608 - 1)
    return torch.from_numpy(out.reshape(shape))


def main():
    golden = {}
    for name, (config, model, options) in MODELS.items():
        net = model(config(**{**SIZES, **options})).double().eval()
        with torch.no_grad():
            for key, parameter in net.named_parameters():
                parameter.copy_(values(key, tuple(parameter.shape)))
            ids = torch.tensor([[(7 * t * t + 3 * t + 5) % 96 for t in range(LENGTH)]])
            golden[name] = net(ids).logits[0].float().numpy()
    save_file(golden, sys.argv[1])


if __name__ == "__main__":
    main()
