"""Writes src/ollm/models/transformers_keys.inc and transformers_types.inc: the names of all fields
that some config class of Transformers has, and of all model types that it builds.

    pip install transformers==5.23.0 && python3 tools/transformers_names/make.py

Read from its sources, so that no further package is needed.
"""

import ast
import pathlib
import textwrap

import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

MODELS = pathlib.Path(transformers.__file__).parent / "models"
OUT = pathlib.Path(__file__).resolve().parents[2] / "src/ollm/models"


def fields_of(config_class):
    for node in config_class.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            if any(isinstance(t, ast.Name) and t.id == "attribute_map" for t in node.targets):
                yield from (key.value for key in node.value.keys if isinstance(key, ast.Constant))
    for node in ast.walk(config_class):  # kwargs.pop("older_name", ...)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("pop", "get")
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "kwargs"
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.args[0].value


def write(name, what, names):
    lines = textwrap.wrap(", ".join(f'"{n}"' for n in sorted(names)) + ",", 98)
    text = f"// {what} of Transformers {transformers.__version__}, sorted by bytes.\n"
    text += "// Made by tools/transformers_names/make.py; not to be edited.\n"
    (OUT / name).write_text(text + "\n".join(lines) + "\n")


keys = set()
for source in sorted(MODELS.glob("*/configuration_*.py")):
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ClassDef):
            keys.update(fields_of(node))
write("transformers_keys.inc", "The fields of all config classes", keys)
write("transformers_types.inc", "All model types", set(CONFIG_MAPPING_NAMES))
