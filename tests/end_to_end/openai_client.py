#!/usr/bin/env python3
"""OpenAI's own package against a server of ours: chat, completions, streams, errors, n, log
probabilities; and the examples of docs/server.md, each where its interpreter is there.

Usage: openai_client.py OLLM_BINARY SOURCE_ROOT. Exits 77 where the package is not there."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
MODEL = "examples/models/clerk"


def start(binary, root, cache):
    process = subprocess.Popen([binary, "serve", "--port", "0", "--model", MODEL, "--sequences", "2"],
                               cwd=root, stderr=subprocess.PIPE, text=True,
                               env=os.environ | {"XDG_CACHE_HOME": cache})
    for line in process.stderr:
        found = re.search(r"listening on (http://\S+)", line)
        if found:
            return process, found.group(1)
    sys.exit("the server did not start")


def blocks(root, language):
    text = (root / "docs" / "server.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def run_examples(root, address):
    """The examples as they stand, but for the address and the model's name."""
    def fitted(code):
        return code.replace("http://127.0.0.1:8000", address).replace('model="M"', 'model="clerk"')

    programs = [([sys.executable, "-c"], code) for code in blocks(root, "python")]
    if shutil.which("node"):
        programs += [(["node", "--input-type=module", "-e"], code)
                     for code in blocks(root, "javascript")]
    text = (root / "docs" / "server.md").read_text(encoding="utf-8")
    shell = re.search(r"^    curl .*?(?=\n\n)", text, re.S | re.M).group(0)
    if shutil.which("curl"):
        programs.append((["sh", "-c"], shell))
    for command, code in programs:
        done = subprocess.run(command + [fitted(code)], capture_output=True, text=True, timeout=60,
                              check=False)
        assert done.returncode == 0 and done.stdout.strip(), (command, done.stdout, done.stderr)
    return len(programs)


def check(client, openai):
    asked = [{"role": "user", "content": "Who signed the contract?"}]
    chat = client.chat.completions.create(model="clerk", messages=asked, max_tokens=8, n=2, seed=5,
                                          temperature=0.9, logprobs=True, top_logprobs=2)
    assert len(chat.choices) == 2 and chat.usage.completion_tokens > 0
    assert len(chat.choices[0].logprobs.content[0].top_logprobs) == 2
    assert chat.usage.prompt_tokens_details.cached_tokens >= 0

    whole = client.chat.completions.create(model="clerk", messages=asked, max_tokens=8)
    text, usage = "", None
    for chunk in client.chat.completions.create(model="clerk", messages=asked, max_tokens=8,
                                                stream=True, stream_options={"include_usage": True}):
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        usage = chunk.usage or usage
    assert text == whole.choices[0].message.content
    assert usage.completion_tokens == whole.usage.completion_tokens

    made = client.completions.create(model="clerk", prompt=["Once", "Twice"], max_tokens=4, logprobs=2)
    assert [choice.index for choice in made.choices] == [0, 1]
    assert len(made.choices[0].logprobs.tokens) == 4
    pieces = client.completions.create(model="clerk", prompt="Once", max_tokens=4, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == made.choices[0].text

    assert [model.id for model in client.models.list()] == ["clerk"]
    for call, kind, param in (
            (lambda: client.chat.completions.create(model="clerk", messages=asked, n=99),
             openai.BadRequestError, "n"),
            (lambda: client.chat.completions.create(model="gpt-4", messages=asked),
             openai.NotFoundError, "model"),
            (lambda: client.chat.completions.create(model="clerk", messages=[]),
             openai.BadRequestError, "messages"),
            (lambda: client.embeddings.create(model="clerk", input="x"), openai.NotFoundError, None)):
        try:
            call()
        except kind as error:
            assert error.body["param"] == param, error.body
        else:
            raise AssertionError(f"{param} was taken")


def main():
    try:
        import openai
    except ImportError:
        print("skipped: there is no package openai (pip install openai)")
        sys.exit(SKIPPED)
    binary, root = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as cache:
        process, address = start(binary, root, cache)
        try:
            check(openai.OpenAI(base_url=address + "/v1", api_key="none"), openai)
            print(f"the package and {run_examples(root, address)} examples are answered")
        finally:
            process.terminate()
            process.wait(timeout=60)
    assert process.returncode == 0, process.returncode


if __name__ == "__main__":
    main()
