#!/usr/bin/env python3
"""Writes the seeds of fuzz/corpus/tokenizer: one small tokenizer.json for each kind of block, with a text.

Leaves what they become to the fuzzer. Run it in this folder; the files it writes are committed.
"""
import json
import pathlib

OUT = pathlib.Path(__file__).parent / "tokenizer"
LETTERS = "abcdehlowrst ABHÀ\u0300ß漢字か▁Ġ.,'!?-12<>/#\n"
TEXT = "Hello world, hello  À漢字か's 12!\n<s>abc</s> <x> the#end"


def added(token_id, content, **flags):
    token = dict(id=token_id, content=content, single_word=False, lstrip=False, rstrip=False,
                 normalized=False, special=False)
    token.update(flags)
    return token


def bpe(**options):
    vocab = {c: i for i, c in enumerate(LETTERS)}
    for token in ["he", "ll", "hell", "hello", "<unk>", "<s>", "</s>"]:
        vocab[token] = len(vocab)
    model = dict(type="BPE", unk_token="<unk>", fuse_unk=True, vocab=vocab,
                 merges=["h e", "l l", "he ll", "hell o"])
    model.update(options)
    return model


def tokenizer(model=None, tokens=(), **blocks):
    model = model or bpe()
    result = dict(version="1.0", truncation=None, padding=None, normalizer=None, pre_tokenizer=None,
                  post_processor=None, decoder=None)
    result.update(blocks)
    result["added_tokens"] = [added(0, "<s>", special=True), *tokens]
    result["model"] = model
    return result


def split(regex, behavior="Isolated", invert=False):
    return dict(type="Split", pattern={"Regex": regex}, behavior=behavior, invert=invert)


def template():
    return dict(type="TemplateProcessing",
                single=[{"SpecialToken": {"id": "<s>", "type_id": 0}},
                        {"Sequence": {"id": "A", "type_id": 0}}],
                pair=[], special_tokens={"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}})


SEEDS = {
    "bpe": tokenizer(),
    "bpe_affixes": tokenizer(bpe(vocab={"a": 0, "##b": 1, "c</w>": 2, "##c</w>": 3, "ab": 4, "<unk>": 5},
                                 merges=[["a", "##b"]], continuing_subword_prefix="##",
                                 end_of_word_suffix="</w>"),
                             decoder=dict(type="BPEDecoder", suffix="</w>")),
    "byte_level": tokenizer(pre_tokenizer=dict(type="ByteLevel", add_prefix_space=True, use_regex=True),
                            decoder=dict(type="ByteLevel"), post_processor=dict(type="ByteLevel")),
    "byte_fallback": tokenizer(
        bpe(byte_fallback=True, vocab={**{f"<0x{b:02X}>": b for b in range(256)}, "<unk>": 256, "a": 257},
            merges=[]),
        normalizer=dict(type="Sequence", normalizers=[
            dict(type="Prepend", prepend="▁"),
            dict(type="Replace", pattern={"String": " "}, content="▁")]),
        decoder=dict(type="Sequence", decoders=[
            dict(type="Replace", pattern={"String": "▁"}, content=" "), dict(type="ByteFallback"),
            dict(type="Fuse"), dict(type="Strip", content=" ", start=1, stop=0)])),
    "unigram": tokenizer(dict(type="Unigram", unk_id=0, byte_fallback=False,
                              vocab=[["<unk>", -9], ["▁", -2], ["a", -3], ["he", -4], ["llo", -4.5],
                                     ["hello", -5], ["l", -3]]),
                         pre_tokenizer=dict(type="Metaspace", replacement="▁", prepend_scheme="first",
                                            split=True),
                         decoder=dict(type="Metaspace", replacement="▁", prepend_scheme="always")),
    "wordpiece": tokenizer(dict(type="WordPiece", unk_token="<unk>", continuing_subword_prefix="##",
                                max_input_chars_per_word=9,
                                vocab={"<unk>": 0, "he": 1, "##llo": 2, "world": 3, ",": 4}),
                           normalizer=dict(type="BertNormalizer", clean_text=True,
                                           handle_chinese_chars=True, strip_accents=None, lowercase=True),
                           pre_tokenizer=dict(type="BertPreTokenizer"),
                           post_processor=dict(type="BertProcessing", sep=["</s>", 2], cls=["<s>", 1]),
                           decoder=dict(type="WordPiece", prefix="##", cleanup=True)),
    "wordlevel": tokenizer(dict(type="WordLevel", unk_token="<unk>", vocab={"<unk>": 0, "Hello": 1}),
                           pre_tokenizer=dict(type="Whitespace"), post_processor=template()),
    "normalizers": tokenizer(normalizer=dict(type="Sequence", normalizers=[
        dict(type=kind) for kind in ["NFD", "NFKC", "NFC", "NFKD", "Lowercase", "StripAccents", "Nmt"]
    ] + [dict(type="Strip", strip_left=True, strip_right=True),
         dict(type="Replace", pattern={"Regex": "\\s+|(?i)l(?=o)"}, content="_"),
         dict(type="ByteLevel")])),
    "precompiled": tokenizer(normalizer=dict(type="Precompiled",
                                             precompiled_charsmap="CAAAAAAAAAAAAAAAYQAAYgA=")),
    "pre_tokenizers": tokenizer(pre_tokenizer=dict(type="Sequence", pretokenizers=[
        split("[\\p{L}&&[^aeiou\\p{Han}]]+|[[:punct:]]+"), split("\\b\\w+\\b|^\\s{1,2}+$", "Removed", True),
        dict(type="Punctuation", behavior="MergedWithNext"), dict(type="Digits", individual_digits=False),
        dict(type="UnicodeScripts"), dict(type="CharDelimiterSplit", delimiter="-"),
        dict(type="FixedLength", length=3), dict(type="WhitespaceSplit")])),
    "added": tokenizer(tokens=[added(1, "<x>", lstrip=True, rstrip=True), added(2, "the", single_word=True),
                               added(3, "HELLO", normalized=True, special=True), added(4, "he"),
                               added(5, "hel", special=True)],
                       normalizer=dict(type="Lowercase"), post_processor=template()),
    "decoders": tokenizer(decoder=dict(type="Sequence", decoders=[
        dict(type="CTC", pad_token="<s>", word_delimiter_token="e", cleanup=True),
        dict(type="Fuse"), dict(type="ByteFallback"),
        dict(type="Replace", pattern={"Regex": "l+"}, content="L"),
        dict(type="Strip", content="h", start=1, stop=1)])),
    "patterns": tokenizer(pre_tokenizer=split(
        "(?<n>a)\\k<n>|(?>l+)(?!x)|(?<=h)e|[^\\s\\p{^L}]{,2}?|\\h++|(?m:.)|\\x{62}|\\u0063|(?#c)[]a-c[^x]]*")),
}

CONFIG = dict(add_bos_token=True, bos_token="<s>", model_max_length=10**30,
              added_tokens_decoder={"70": dict(content="<pad>", special=True)})

OUT.mkdir(exist_ok=True)
for name, value in SEEDS.items():
    parts = [json.dumps(value, ensure_ascii=False, separators=(",", ":")), TEXT]
    if name == "byte_level":
        parts.append(json.dumps(CONFIG))
    (OUT / name).write_text("\n=====\n".join(parts), encoding="utf-8")
