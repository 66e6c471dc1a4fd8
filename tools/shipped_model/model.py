"""A plain Llama in PyTorch, with the tensor names of the Hugging Face form.

Knows the network and its files; data and training are left to prompts.py and train.py.
"""

import json

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "hidden_size": 160,
    "initializer_range": 0.02,
    "intermediate_size": 352,
    "max_position_embeddings": 4096,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 4,
    "num_hidden_layers": 6,
    "num_key_value_heads": 4,
    "pad_token_id": 0,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 100000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.46.0",
    "use_cache": True,
    "vocab_size": 1536,
}


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)


def rotary(positions, head_dim, theta):
    """cos and sin [batch, 1, tokens, head_dim / 2] of positions [batch, tokens]."""
    rates = theta ** (-torch.arange(0, head_dim, 2).float() / head_dim)
    angles = positions[:, None, :, None].float() * rates
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    # The halves form that Hugging Face's Llama uses: dimension i turns with i + head_dim / 2.
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        self.q_proj = nn.Linear(c["hidden_size"], self.heads * self.dim, bias=False)
        self.k_proj = nn.Linear(c["hidden_size"], self.kv_heads * self.dim, bias=False)
        self.v_proj = nn.Linear(c["hidden_size"], self.kv_heads * self.dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.dim, c["hidden_size"], bias=False)

    def forward(self, x, cos, sin, mask, past, plain):
        batch, tokens, _ = x.shape
        q, k, v = (proj(x).view(batch, tokens, -1, self.dim).transpose(1, 2)
                   for proj in (self.q_proj, self.k_proj, self.v_proj))
        # In f32 also under autocast: on a CPU attention is faster so.
        q, k, v = rotate(q, cos, sin).float(), rotate(k, cos, sin).float(), v.float()
        if past is not None:
            if past:
                k, v = torch.cat((past[0], k), dim=2), torch.cat((past[1], v), dim=2)
            past[:] = [k, v]
        if self.heads != self.kv_heads:
            k, v = (t.repeat_interleave(self.heads // self.kv_heads, dim=1) for t in (k, v))
        if mask is None:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=tokens > 1)
        else:
            # The first `plain` tokens need no mask but the causal one, and see none of the rest.
            first = F.scaled_dot_product_attention(*(t[:, :, :plain] for t in (q, k, v)), is_causal=True)
            rest = F.scaled_dot_product_attention(q[:, :, plain:], k, v, attn_mask=mask[:, :, plain:])
            out = torch.cat((first, rest), dim=2)
        return self.o_proj(out.transpose(1, 2).reshape(batch, tokens, -1))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.up_proj = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.down_proj = nn.Linear(c["intermediate_size"], c["hidden_size"], bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self_attn, self.mlp = Attention(c), Mlp(c)
        self.input_layernorm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        self.post_attention_layernorm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])

    def forward(self, x, cos, sin, mask, past=None, plain=0):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask, past, plain)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                # Outputs into the residual stream start at zero: every layer begins as the identity.
                zero = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=0.0 if zero else 0.02 if "embed" in name else weight.shape[1] ** -0.5)

    def forward(self, ids, positions, mask=None, past=None, plain=0):
        """The last hidden states [batch, tokens, hidden]; `logits` makes the rest.

        mask: added to the scores, causal without; its first `plain` rows hide the future only.
        past: a list for each layer, of keys and values so far.
        """
        cos, sin = rotary(positions, self.config["head_dim"], self.config["rope_theta"])
        x = self.embed_tokens(ids)
        for index, layer in enumerate(self.layers):
            x = layer(x, cos, sin, mask, None if past is None else past[index], plain)
        return self.norm(x)

    def logits(self, hidden):
        return F.linear(hidden, self.embed_tokens.weight)

    @torch.no_grad()
    def answer(self, ids, end, limit=32):
        """Greedy tokens after the prompt, without the end token."""
        past = [[] for _ in self.layers]
        ids, made, at = list(ids), [], 0
        while len(made) < limit:
            step = torch.tensor([ids[at:]])
            hidden = self(step, torch.arange(at, len(ids))[None], None, past)
            at = len(ids)
            token = int(self.logits(hidden[0, -1]).argmax())
            if token == end:
                break
            made.append(token)
            ids.append(token)
        return made


def save(model, folder):
    """model.safetensors in bf16 and config.json."""
    tensors = {"model." + name: weight.detach().to(torch.bfloat16).contiguous()
               for name, weight in model.state_dict().items()}
    save_file(tensors, f"{folder}/model.safetensors", metadata={"format": "pt"})
    with open(f"{folder}/config.json", "w", encoding="utf-8") as out:
        json.dump(model.config, out, indent=2)
        out.write("\n")


def load(folder):
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        model = Llama(json.load(file))
    tensors = load_file(f"{folder}/model.safetensors")
    model.load_state_dict({name.removeprefix("model."): weight.float() for name, weight in tensors.items()})
    return model
