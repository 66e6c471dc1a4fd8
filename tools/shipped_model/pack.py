"""Writes the model folder as the hub has it: weights, config, tokenizer, chat template.

usage: pack.py CHECKPOINT_FOLDER TOKENIZER.json MODEL_FOLDER
The model card, README.md, is written by hand and left alone.
"""

import json
import os
import shutil
import sys

from tokenizers import Tokenizer

from model import CONFIG, load, save
from prompts import BEGIN, CHAT_TEMPLATE, END, PAD, SPECIAL_TOKENS

LARGEST_FILE_BYTES = 4_000_000


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, indent=2, ensure_ascii=False)
        out.write("\n")


def main():
    checkpoint, tokenizer_path, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    model = load(checkpoint)
    model.config = CONFIG
    save(model, folder)
    os.chmod(f"{folder}/model.safetensors", 0o644)  # the library writes it for its owner alone
    size = os.path.getsize(f"{folder}/model.safetensors")
    if size > LARGEST_FILE_BYTES:
        sys.exit(f"model.safetensors has {size} bytes, {LARGEST_FILE_BYTES} are allowed")
    shutil.copyfile(tokenizer_path, f"{folder}/tokenizer.json")
    tokenizer = Tokenizer.from_file(tokenizer_path)
    write_json(f"{folder}/generation_config.json", {
        "_from_model_config": True, "bos_token_id": CONFIG["bos_token_id"],
        "eos_token_id": CONFIG["eos_token_id"], "pad_token_id": CONFIG["pad_token_id"],
        "transformers_version": CONFIG["transformers_version"]})
    write_json(f"{folder}/tokenizer_config.json", {
        "add_bos_token": False,
        "add_eos_token": False,
        "added_tokens_decoder": {
            str(tokenizer.token_to_id(token)): {"content": token, "lstrip": False, "normalized": False,
                                                "rstrip": False, "single_word": False, "special": True}
            for token in SPECIAL_TOKENS},
        "bos_token": BEGIN,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "model_max_length": CONFIG["max_position_embeddings"],
        "pad_token": PAD,
        "tokenizer_class": "PreTrainedTokenizerFast"})
    print(f"{folder}: {size} bytes of weights")


if __name__ == "__main__":
    main()
