#!/usr/bin/env python3
"""Writes the seeds of safetensors_fuzz, index_fuzz and config_fuzz into the folders beside this
file. Small on purpose: each seed shows one construct, the fuzzer combines them. Inputs that once
failed are added by hand, named after what they broke."""

import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent


def write(target, name, content):
    folder = HERE / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def safetensors(header, data=b"", padding=0):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    text += b" " * padding
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def make_safetensors():
    two = {"a": tensor("F32", [2, 2], 0, 16), "b": tensor("BF16", [], 16, 18)}
    write("safetensors", "two", safetensors(two, b"d" * 18, padding=5))
    write("safetensors", "metadata", safetensors({"__metadata__": {"format": "pt"}, **two}, b"d" * 18))
    write("safetensors", "none", safetensors({}))
    write("safetensors", "empty_tensors", safetensors({"a": tensor("I64", [0], 0, 0),
                                                       "b": tensor("U8", [3, 0], 0, 0)}))
    write("safetensors", "every_dtype", safetensors(
        {str(i): tensor(name, [0], 0, 0) for i, name in enumerate(
            "BOOL U8 I8 F8_E5M2 F8_E4M3 I16 U16 F16 BF16 I32 U32 F32 F64 I64 U64".split())}))
    write("safetensors", "refused_dtype", safetensors({"a": tensor("F4", [2], 0, 1)}, b"d"))
    write("safetensors", "rank_8", safetensors({"a": tensor("U8", [1] * 8, 0, 1)}, b"d"))
    write("safetensors", "rank_9", safetensors({"a": tensor("U8", [1] * 9, 0, 1)}, b"d"))
    write("safetensors", "escapes", safetensors(
        b'{"\\u00e4\\ud83d\\ude00\\n\\"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"d"))
    write("safetensors", "hole", safetensors({"a": tensor("U8", [1], 0, 1), "b": tensor("U8", [1], 2, 3)}, b"ddd"))
    write("safetensors", "overlap", safetensors({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}, b"ddd"))
    write("safetensors", "duplicate", safetensors(
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'))
    write("safetensors", "overflow", safetensors({"a": tensor("F64", [1 << 32, 1 << 32], 0, 0)}))
    write("safetensors", "long_length", struct.pack("<Q", 1 << 40) + b"{}")
    write("safetensors", "cut", safetensors(two, b"d" * 17))
    write("safetensors", "json_alone", json.dumps(two))
    write("safetensors", "lfs_pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    write("safetensors", "web_page", "<!DOCTYPE html><html></html>")
    write("safetensors", "zip", b"PK\x03\x04\x00\x00\x08\x08")
    write("safetensors", "pickle", b"\x80\x02}q\x01(X\x01\x00")
    write("safetensors", "nothing", b"")


def make_index():
    def index(weight_map, **more):
        return json.dumps({"metadata": {"total_size": 100}, "weight_map": weight_map, **more})

    write("index", "two_shards", index({"a": "model-1.safetensors", "b": "model-2.safetensors"}))
    write("index", "more_keys", index({"a": "m.safetensors"}, other=[1, {"x": None}, "y", True, -1.5e3]))
    write("index", "parent", index({"a": "../x.safetensors"}))
    write("index", "absolute", index({"a": "/x.safetensors"}))
    write("index", "subfolder", index({"a": "s/x.safetensors"}))
    write("index", "backslash", index({"a": "s\\x.safetensors"}))
    write("index", "pickle", index({"a": "pytorch_model.bin"}))
    write("index", "nul", index({"a": "x\0.safetensors"}))
    write("index", "two_places", '{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}')
    write("index", "no_map", "{}")
    write("index", "empty_map", index({}))
    write("index", "spellings", index({"a": "./m.safetensors", "b": "x/../m.safetensors", "c": "w//m.safetensors"}))
    write("index", "climbs", index({"a": "x/../../m.safetensors"}))
    write("index", "two_maps", '{"weight_map":{"a":"1.safetensors"},"weight_map":{"b":"2.safetensors"}}')
    write("index", "bom_nan", b'\xef\xbb\xbf{"metadata":{"total_size":NaN},"weight_map":{"a":"1.safetensors"}}')
    write("index", "nested", '{"x":' + "[" * 20 + "]" * 20 + "}")


def make_config():
    llama = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
             "num_attention_heads": 8, "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
             "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0},
             "eos_token_id": [1, 2], "pad_token_id": None}
    write("config", "llama", json.dumps(llama, indent=1))
    write("config", "rope_parameters", json.dumps({
        "dtype": "bfloat16", "layer_types": ["full_attention", "sliding_attention"],
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e6}}}))
    write("config", "generation", json.dumps({"eos_token_id": 2, "do_sample": True, "temperature": 0.6,
                                              "top_p": 0.9, "top_k": 50, "min_p": 0.0}))
    write("config", "numbers", '{"a":0,"b":-0,"c":1.0,"d":1e3,"e":-2.5E-3,"f":9223372036854775808,'
                               '"g":18446744073709551616,"h":1e308}')
    write("config", "strings", '{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00","b":"ä"}')
    write("config", "generation_wrong", '{"top_k":-1,"eos_token_id":[2,"3"],"temperature":Infinity}')
    write("config", "time_step_limit", '{"time_step_limit":[0.0,Infinity]}')
    write("config", "nan", '{"a":NaN,"b":-Infinity}')
    write("config", "too_large", '{"a":1e999}')
    write("config", "duplicate", '{"a":1,"\\u0061":2}')
    write("config", "deep", "[" * 65 + "]" * 65)
    write("config", "lone_surrogate", '{"a":"\\ud800"}')
    write("config", "bom", b"\xef\xbb\xbf{}")
    write("config", "trailing", "{} x")


make_safetensors()
make_index()
make_config()
