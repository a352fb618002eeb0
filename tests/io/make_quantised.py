#!/usr/bin/env python3
"""Tiny folders of quantised models in one file, and the matrices that they stand for in single precision.

    python3 make_quantised.py quantised.safetensors [SEED]     needs torch, compressed-tensors (0.20), transformers (5.24), safetensors

Metadata CASE is its config.json, tensor "CASE:NAME" lies in its model.safetensors, and "CASE=NAME" is what NAME is decoded to.
compressed-tensors packs and dequantises its cases; transformers decodes MXFP4; the conversions of FP8 are torch's; GPTQ is packed and
decoded here, from the description in docs/formats.md."""
import json
import sys

import torch
from compressed_tensors.compressors import (FloatQuantizationCompressor, IntQuantizationCompressor, NaiveQuantizationCompressor,
                                            PackedQuantizationCompressor)
from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.lifecycle.forward import dequantize
from safetensors.torch import save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

cases, tensors = {}, {}
random = torch.Generator().manual_seed(int(sys.argv[2]) if len(sys.argv) > 2 else 24)


def normal(*shape):
    return torch.randn(*shape, generator=random)


def integers(low, high, *shape, dtype=torch.int64):
    return torch.randint(low, high, shape, generator=random).to(dtype)


def add(case, config, stored, decoded):
    cases[case] = json.dumps({"model_type": "llama", "quantization_config": config})
    for name, tensor in stored.items():
        tensors[f"{case}:{name}"] = tensor.contiguous().clone()
    for name, tensor in decoded.items():
        tensors[f"{case}={name}"] = tensor.to(torch.float32).contiguous()


# FP8: a scale multiplies a block, the last of which may be cut.

def spread(scale, rows, cols, block):
    whole = scale.to(torch.float32).repeat_interleave(block[0], -2).repeat_interleave(block[1], -1)
    return whole[..., :rows, :cols]


def fp8():
    a, b = (normal(40, 50) * 20).to(torch.float8_e4m3fn), (normal(24, 32) * 5).to(torch.float8_e5m2)
    scale, other = normal(3, 2).abs(), torch.tensor(0.37)
    add("fp8_blocks", {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [16, 32], "activation_scheme": "dynamic"},
        {"a.weight": a, "a.weight_scale_inv": scale, "a.bias": normal(40), "norm.weight": normal(8).to(torch.bfloat16)},
        {"a.weight": a.to(torch.float32) * spread(scale, 40, 50, (16, 32))})
    add("fp8_tensor", {"quant_method": "fp8", "activation_scheme": "static"},
        {"a.weight": a, "a.weight_scale": other, "a.input_scale": torch.tensor(0.1), "b.weight": b,
         "b.weight_scale": scale[:1, 0].to(torch.bfloat16), "k_proj.k_scale": torch.tensor(2.0)},
        {"a.weight": a.to(torch.float32) * other, "b.weight": b.to(torch.float32) * scale[0, 0].to(torch.bfloat16).to(torch.float32)})
    experts, powers = (normal(2, 40, 48) * 9).to(torch.float8_e4m3fn), (2.0 ** integers(-9, 3, 2, 3, 2)).to(torch.float8_e8m0fnu)
    add("fp8_experts", {"quant_method": "fp8", "weight_block_size": [16, 32], "scale_fmt": "ue8m0"},
        {"experts.up": experts, "experts.up_scale_inv": powers},
        {"experts.up": experts.to(torch.float32) * spread(powers, 40, 48, (16, 32))})


# compressed-tensors

def compress(compressor, rows, cols, scale_type, **settings):
    """One layer: what the package stores, and what it decodes this to with scales in single precision."""
    args = QuantizationArgs(**settings)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    columns = {"group": cols // (args.group_size or 1), "block": -(-cols // 32)}.get(args.strategy, 1)
    rows_of_scales = {"tensor": 1, "block": -(-rows // 16)}.get(args.strategy, rows)
    scale = (normal(rows_of_scales, columns).abs() / 8 + 0.01).to(scale_type)
    if args.strategy == "tensor":
        scale = scale.reshape(1)
    low = -(1 << args.num_bits - 1)
    zero = torch.zeros_like(scale, dtype=torch.int8) if args.symmetric else integers(low, -low, *scale.shape, dtype=torch.int8)
    state = {"weight": (normal(rows, cols) / 3).to(scale_type), "weight_scale": scale, "weight_zero_point": zero}
    if args.type == "float":
        del state["weight_zero_point"]
    stored = compressor.compress(state, scheme)
    codes = stored.get("weight")
    if codes is None:
        codes = unpack_from_int32(stored["weight_packed"], args.num_bits, stored["weight_shape"])
    decoded = dequantize(codes, scale.to(torch.float32), None if args.symmetric else zero, args)
    return stored, decoded


def group(name, settings, form):
    weights = {key: value for key, value in settings.items()}
    return {name: {"targets": ["Linear"], "weights": weights, "input_activations": None, "format": form}}


def compressed(case, form, compressor, layers):
    stored, decoded, groups = {}, {}, {}
    for i, (name, (rows, cols, scale_type, settings)) in enumerate(layers.items()):
        parts, matrix = compress(compressor, rows, cols, scale_type, **settings)
        stored.update({f"{name}.{part}": tensor for part, tensor in parts.items()})
        decoded[f"{name}.weight"] = matrix
        groups.update(group(f"group_{i}", settings, form))
    add(case, {"quant_method": "compressed-tensors", "format": form if len(layers) == 1 else "mixed-precision", "ignore": ["lm_head"],
               "quantization_status": "compressed", "config_groups": groups}, stored, decoded)


def all_compressed():
    half, brain, full = torch.float16, torch.bfloat16, torch.float32
    int4 = dict(num_bits=4, type="int", symmetric=True, strategy="group", group_size=32)
    int8 = dict(num_bits=8, type="int", symmetric=True, strategy="channel")
    fp8_ = dict(num_bits=8, type="float", symmetric=True, strategy="channel")
    packed = PackedQuantizationCompressor
    compressed("ct_int4", "pack-quantized", packed, {"a": (24, 96, half, int4)})
    compressed("ct_int4_zeros", "pack-quantized", packed, {"a": (20, 64, brain, dict(int4, symmetric=False))})
    compressed("ct_int4_cut", "pack-quantized", packed, {"a": (9, 50, full, dict(int4, strategy="channel", group_size=None))})
    compressed("ct_int2", "pack-quantized", packed, {"a": (8, 64, half, dict(int4, num_bits=2, symmetric=False))})
    compressed("ct_mixed", "pack-quantized", packed, {"a": (16, 64, half, int4), "b": (12, 50, half, int8)})
    compressed("ct_int8", "int-quantized", IntQuantizationCompressor, {"a": (24, 50, brain, int8)})
    compressed("ct_naive", "naive-quantized", NaiveQuantizationCompressor,
               {"a": (16, 32, full, dict(int8, num_bits=4, symmetric=False, strategy="tensor"))})
    compressed("ct_fp8", "float-quantized", FloatQuantizationCompressor, {"a": (24, 50, brain, fp8_)})
    compressed("ct_fp8_blocks", "float-quantized", FloatQuantizationCompressor,
               {"a": (40, 50, full, dict(fp8_, strategy="block", block_structure=[16, 32]))})


def ordered():
    """The groups of inputs in an order of their own, which newer versions of the package write no more."""
    parts, _ = compress(PackedQuantizationCompressor, 16, 64, torch.float16, num_bits=4, type="int", symmetric=True, strategy="group",
                        group_size=32)
    order = torch.randperm(64, generator=random) // 32
    codes = unpack_from_int32(parts["weight_packed"], 4, parts["weight_shape"]).to(torch.float32)
    settings = dict(num_bits=4, type="int", symmetric=True, strategy="group", group_size=32, actorder="group")
    add("ct_order", {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": group("group_0", settings, None)},
        {"a.weight_g_idx": order.to(torch.int32), **{f"a.{name}": tensor for name, tensor in parts.items()}},
        {"a.weight": codes * parts["weight_scale"].to(torch.float32)[:, order]})


# GPTQ: codes of `bits` follow each other, the first lowest, in words of 32 bits.

def words(codes, bits):
    """Along the first extent."""
    stream = [sum(int(code) << bits * i for i, code in enumerate(column)) for column in codes.T]
    count = -(-len(codes) * bits // 32)
    return torch.tensor([[value >> 32 * i & 0xffffffff for value in stream] for i in range(count)], dtype=torch.int64)


def less_one(packed, bits):
    """Each word of zeros at once, so that a zero of 0 borrows from its neighbour."""
    ones = sum(1 << bits * i for i in range(32 // bits))
    return (packed - ones) & 0xffffffff


def signed(packed):
    return torch.where(packed >= 1 << 31, packed - (1 << 32), packed).to(torch.int32)


def gptq(case, bits, size, version, symmetric=False, order=False, listed=True, rows=16, cols=96):
    count = 1 if size < 0 else cols // size
    codes, zeros = integers(0, 1 << bits, cols, rows), integers(0, 1 << bits, count, rows)
    scales = (normal(count, rows).abs() / 16 + 0.01).to(torch.float16)
    groups = torch.zeros(cols, dtype=torch.int64) if size < 0 else torch.arange(cols) // size
    groups = groups[torch.randperm(cols, generator=random)] if order else groups
    if symmetric:
        zeros.fill_(1 << bits - 1)
    packed = words(zeros.T, bits).T
    if version == 1 and 32 % bits == 0:
        packed = less_one(packed, bits)
    elif version == 1:
        packed = words(((zeros - 1) % (1 << bits)).T, bits).T
    config = {"quant_method": "gptq", "bits": bits, "group_size": size, "desc_act": order, "sym": symmetric}
    if version == 2:
        config["checkpoint_format"] = "gptq_v2"
    stored = {"a.qweight": signed(words(codes, bits)), "a.qzeros": signed(packed), "a.scales": scales, "a.bias": normal(rows)}
    if listed:
        stored["a.g_idx"] = groups.to(torch.int32)
    add(case, config, stored, {"a.weight": ((codes - zeros[groups]).to(torch.float32) * scales[groups].to(torch.float32)).T})


def all_gptq():
    gptq("gptq_v1", 4, 32, 1, symmetric=True)
    gptq("gptq_v1_zeros", 4, 32, 1)
    gptq("gptq_v2", 4, 32, 2)
    gptq("gptq_order", 4, 32, 2, order=True)
    gptq("gptq_whole", 4, -1, 2, listed=False)
    gptq("gptq_int2", 2, 32, 2, listed=False)
    gptq("gptq_int3", 3, 32, 1)
    gptq("gptq_int8", 8, 48, 1)


def mxfp4():
    blocks, scales = integers(0, 256, 2, 6, 3, 16, dtype=torch.uint8), integers(110, 140, 2, 6, 3, dtype=torch.uint8)
    add("mxfp4", {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]},
        {"experts.up_blocks": blocks, "experts.up_scales": scales, "experts.up_bias": normal(2, 6)},
        {"experts.up": convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)})


fp8()
all_compressed()
ordered()
all_gptq()
mxfp4()
save_file(tensors, sys.argv[1], cases)
