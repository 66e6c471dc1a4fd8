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
    """cos and sin [..., tokens, 1, head_dim / 2] of positions [..., tokens]."""
    rates = theta ** (-torch.arange(0, head_dim, 2).float() / head_dim)
    angles = positions[..., None, None].float() * rates
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    # The halves form that Hugging Face's Llama uses: dimension i turns with i + head_dim / 2.
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Attention(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        self.index = index
        self.heads, self.kv_heads, self.dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        self.q_proj = nn.Linear(c["hidden_size"], self.heads * self.dim, bias=False)
        self.k_proj = nn.Linear(c["hidden_size"], self.kv_heads * self.dim, bias=False)
        self.v_proj = nn.Linear(c["hidden_size"], self.kv_heads * self.dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.dim, c["hidden_size"], bias=False)

    def forward(self, x, cos, sin, past):
        batch, tokens, _ = x.shape
        q, k, v = (t.transpose(1, 2) for t in self.heads_of(x, cos, sin))
        if past is not None:
            if past:
                k, v = torch.cat((past[0], k), dim=2), torch.cat((past[1], v), dim=2)
            past[:] = [k, v]
        k, v = self.shared(k, 1), self.shared(v, 1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=tokens > 1)
        return self.o_proj(out.transpose(1, 2).reshape(batch, tokens, -1))

    def heads_of(self, x, cos, sin):
        """Queries, keys, values [..., tokens, heads, head_dim] of x [..., tokens, hidden]."""
        q, k, v = (proj(x).unflatten(-1, (-1, self.dim)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        # In f32 also under autocast: on a CPU attention is faster so.
        return rotate(q, cos, sin).float(), rotate(k, cos, sin).float(), v.float()

    def shared(self, t, dim):
        return t if self.heads == self.kv_heads else t.repeat_interleave(self.heads // self.kv_heads, dim=dim)

    def branched(self, x, cos, sin, layout):
        """Attention over the tokens [tokens, hidden] of a batch of documents with branches."""
        # Written out, in bf16: PyTorch's own attention takes three times as long for these shapes.
        q, k, v = (t.to(torch.bfloat16) for t in self.heads_of(x, cos, sin))
        q, k, v = q * self.dim ** -0.5, self.shared(k, 1), self.shared(v, 1)
        qd, kd, vd = (layout.of_documents(t) for t in (q, k, v))
        in_document = torch.softmax(qd @ kd.mT + layout.causal, dim=-1)
        qb, kb, vb = (layout.of_branches(t) for t in (q, k, v))
        grouped = layout.grouped
        scores = torch.cat((grouped(qb) @ kd.mT + layout.hidden, grouped(qb @ kb.mT + layout.own_causal)), dim=-1)
        to_document, to_own = torch.softmax(scores, dim=-1).split((kd.shape[2], kb.shape[2]), dim=-1)
        if self.index in layout.watched:
            layout.watched[self.index] = in_document, layout.ungrouped(to_document), layout.ungrouped(to_own)
        rest = layout.ungrouped(to_document @ vd) + layout.ungrouped(to_own) @ vb
        return self.o_proj(layout.flat(in_document @ vd, rest))


class Layout:
    """Where the tokens of a batch of documents with branches stand in padded tables; see prompts.Batch."""

    def __init__(self, batch, watched=()):
        # Layer -> what its tokens attend to: those of documents, those of branches to document and branch.
        self.watched = dict.fromkeys(watched)
        as_long = lambda table: torch.as_tensor(table, dtype=torch.long)
        self.documents, self.branches = as_long(batch.documents), as_long(batch.branches)
        self.each = len(self.branches) // len(self.documents)
        lengths, branch_lengths = as_long(batch.lengths), as_long(batch.branch_lengths)
        own_steps, document_steps = torch.arange(self.branches.shape[1]), torch.arange(self.documents.shape[1])
        # Added to the scores of: documents, branches to the padding of their document, branches to themselves.
        self.causal = minus_infinity(document_steps[None, :] > document_steps[:, None])
        self.hidden = minus_infinity(document_steps >= lengths[:, None])[:, None, None]
        self.own_causal = minus_infinity(own_steps[None, :] > own_steps[:, None])
        # Places of the flat tokens in the two tables, and in one behind the other.
        self.in_documents = (document_steps < lengths[:, None]).flatten().nonzero()[:, 0]
        self.in_branches = (own_steps < branch_lengths[:, None]).flatten().nonzero()[:, 0]
        self.back = torch.cat((self.in_documents, self.in_branches + self.documents.numel()))

    def of_documents(self, t):
        return self.table(t, self.documents, self.in_documents, slice(None, len(self.in_documents)))

    def of_branches(self, t):
        return self.table(t, self.branches, self.in_branches, slice(len(self.in_documents), None))

    def grouped(self, t):
        """[branches, heads, tokens, x] as [documents, heads, tokens of all its branches, x]."""
        return t.unflatten(0, (-1, self.each)).transpose(1, 2).flatten(2, 3)

    def ungrouped(self, t):
        return t.unflatten(2, (self.each, -1)).transpose(1, 2).flatten(0, 1)

    def table(self, t, places, filled, span):
        return Gather.apply(t, places.flatten(), filled, span).unflatten(0, places.shape).transpose(1, 2)

    def flat(self, first, rest):
        rows = torch.cat([t.transpose(1, 2).flatten(2).flatten(0, 1) for t in (first, rest)])
        return Gather.apply(rows, self.back, None, None)


class Gather(torch.autograd.Function):
    """Rows of a table by their places, each of which is used once: PyTorch's own backward is far slower.

    filled: the results that are no padding, whose gradients belong to the rows of `span`, in order.
    """

    @staticmethod
    def forward(ctx, t, places, filled, span):
        ctx.shape, ctx.places, ctx.filled, ctx.span = t.shape, places, filled, span
        return t.index_select(0, places)

    @staticmethod
    def backward(ctx, gradient):
        out = gradient.new_zeros(ctx.shape)
        if ctx.filled is None:
            out[ctx.places] = gradient
        else:
            out[ctx.span] = gradient.index_select(0, ctx.filled)
        return out, None, None, None


def minus_infinity(where):
    return torch.zeros(where.shape, dtype=torch.bfloat16).masked_fill(where, float("-inf"))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.up_proj = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.down_proj = nn.Linear(c["intermediate_size"], c["hidden_size"], bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        self.self_attn, self.mlp = Attention(c, index), Mlp(c)
        self.input_layernorm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        self.post_attention_layernorm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])

    def forward(self, x, cos, sin, past=None, layout=None):
        normed = self.input_layernorm(x)
        x = x + (self.self_attn.branched(normed, cos, sin, layout) if layout is not None
                 else self.self_attn(normed, cos, sin, past))
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                # Outputs into the residual stream start at zero: every layer begins as the identity.
                zero = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=0.0 if zero else 0.02 if "embed" in name else weight.shape[1] ** -0.5)

    def forward(self, ids, positions, past=None, layout=None):
        """The last hidden states [batch, tokens, hidden]; `logits` makes the rest.

        past: a list for each layer, of keys and values so far.
        layout: ids are the flat tokens of documents with branches, not [batch, tokens].
        """
        cos, sin = rotary(positions, self.config["head_dim"], self.config["rope_theta"])
        x = self.embed_tokens(ids)
        for index, layer in enumerate(self.layers):
            x = layer(x, cos, sin, None if past is None else past[index], layout)
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
            hidden = self(step, torch.arange(at, len(ids))[None], past)
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
