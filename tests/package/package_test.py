#!/usr/bin/env python3
"""Installs a build into an empty folder, moves that, and uses it as a stranger would.

Held: nothing but ollm.h, what stands beside it, and the headers that they need is there; the
library gives away what they declare and no more; one version everywhere; the examples build and run
by find_package, one of them by pkg-config too.

Usage: package_test.py SOURCE_FOLDER BUILD_FOLDER CXX_COMPILER"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
# Types whose headers are not installed: who needs one of them is inside the library.
INTERNAL_TYPES = ("SystemCalls", "ModelFolder", "PlanDraft")
FAILED = []


def expect(holds, what):
    print(("ok: " if holds else "FAILED: ") + what)
    if not holds:
        FAILED.append(what)


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, **more)
    if done.returncode != 0:
        sys.exit(f"FAILED: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            print(f"skipped: no {program}")
            sys.exit(SKIPPED)


def doors(prefix):
    """The headers that a program includes: ollm.h and those beside it."""
    include = prefix / "include"
    return sorted(str(path.relative_to(include)) for path in (include / "ollm").glob("*.h"))


def check_headers(prefix, compiler):
    include = prefix / "include"
    installed = {str(path.relative_to(include)) for path in include.rglob("*") if path.is_file()}
    needed = set()
    for door in doors(prefix):
        rule = run(compiler, "-std=c++20", "-MM", "-I", include, include / door)
        needed |= {os.path.relpath(word, include) for word in rule.replace("\\\n", " ").split()[1:]}
    expect(installed == needed, f"{len(needed)} headers, those that {', '.join(doors(prefix))} "
                                f"need: {sorted(installed ^ needed)} are not in both")


def exported_symbols(library):
    lines = run("nm", "-D", "--defined-only", library).splitlines()
    return {line.split()[-1] for line in lines}


def check_only_the_interface(symbols):
    names = run("c++filt", input="\n".join(sorted(symbols))).splitlines()
    folders = re.compile(r"\bollm::(?:kv|weights|models|backend|text|memory|tensor|engine|hub|"
                         r"machine|cli|runtime)::")
    strangers = [name for name in names
                 if "ollm::" not in name or folders.search(name.split("(")[0])]
    expect(len(names) > 50 and not strangers,
           f"{len(names)} symbols given away, none of them inside: {strangers[:5]}")


def declared(node, access="public"):
    """Functions that a header declares without a body, as (mangled name, type)."""
    kind = node.get("kind", "")
    if kind.endswith("TemplateDecl") or kind.startswith("ClassTemplate"):
        return  # bodies of templates are in the header, or in specializations beside
    if kind in ("FunctionDecl", "CXXMethodDecl", "CXXConstructorDecl", "CXXDestructorDecl"):
        has_body = any(child.get("kind") == "CompoundStmt" for child in node.get("inner", []))
        written = not (node.get("isImplicit") or node.get("explicitlyDeleted")
                       or node.get("explicitlyDefaulted"))
        if written and not has_body and access == "public" and "mangledName" in node:
            yield node["mangledName"], node["type"]["qualType"]
        return
    inner_access = "private" if node.get("tagUsed") == "class" else "public"
    for child in node.get("inner", []):
        if child.get("kind") == "AccessSpecDecl":
            inner_access = child["access"]
        else:
            record = kind == "CXXRecordDecl"
            yield from declared(child, inner_access if record else "public")


def check_whole_interface(prefix, symbols, folder):
    if shutil.which("clang++-19") is None:
        print("skipped: no clang++-19, so that nobody reads what the headers declare")
        return
    source = folder / "all.cc"
    source.write_text("".join(f'#include "{door}"\n' for door in doors(prefix)), encoding="utf-8")
    text = run("clang++-19", "-std=c++20", "-fsyntax-only", "-I", prefix / "include",
               "-Xclang", "-ast-dump=json", "-Xclang", "-ast-dump-filter=ollm", source)
    functions, at = {}, text.find("{")
    while at != -1:
        node, end = json.JSONDecoder().raw_decode(text, at)
        functions.update(declared(node))
        at = text.find("{", end)
    inside = {name for name, kind in functions.items()
              if any(word in kind for word in INTERNAL_TYPES)}
    missing = sorted(set(functions) - inside - symbols)
    expect(len(functions) > 60 and not missing,
           f"{len(functions)} functions declared, all but {len(inside)} internal ones given away; "
           f"missing: {missing}")
    expect(not inside & symbols, f"no function of internal types is given away: {inside & symbols}")


def check_versions(source, build, prefix, environment):
    cache = (build / "CMakeCache.txt").read_text(encoding="utf-8")
    version = re.search(r"^CMAKE_PROJECT_VERSION:STATIC=(.+)$", cache, re.M).group(1)
    expect(re.fullmatch(r"\d+\.\d+\.\d+", version) is not None, f"{version} is a semantic version")
    expect(run(prefix / "bin" / "ollm", "--version") == f"ollm {version}\n", "ollm --version")
    expect(run("pkg-config", "--modversion", "ollm", env=environment).strip() == version,
           "the version of ollm.pc")
    expect((library_folder(prefix) / f"libollm.so.{version}").is_file(), "the library's file")
    changelog = (source / "CHANGELOG.md").read_text(encoding="utf-8")
    expect(version in changelog, f"CHANGELOG.md knows {version}")
    return version


def check_examples(source, prefix, version, compiler, environment, folder):
    story = source / "examples" / "cpp" / "story.cc"
    arguments = [source / "examples" / "models" / "clerk", "Notes from the"]
    expected = run(prefix / "bin" / "ollm", "prompt", "--quiet", "--raw", "--max-new-tokens", 200,
                   "--model", *arguments)
    environment = {**environment, "LD_LIBRARY_PATH": str(library_folder(prefix))}

    run(compiler, story, "-o", folder / "by_pkg_config",
        *run("pkg-config", "--cflags", "--libs", "ollm", env=environment).split())
    expect(run(folder / "by_pkg_config", *arguments, env=environment) == expected,
           "story.cc by pkg-config says what ollm says")

    run("cmake", "-S", source / "tests" / "package" / "consumer", "-B", folder / "consumer",
        "-G", "Ninja", f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DEXAMPLES={story.parent}", f"-DOLLM_VERSION={version}")
    run("cmake", "--build", folder / "consumer")
    expect(run(folder / "consumer" / "story", *arguments) == expected,
           "story.cc by find_package says what ollm says")
    check_plan_example(source, prefix, folder)


def check_plan_example(source, prefix, folder):
    model = source / "examples" / "models" / "clerk"
    said = run(folder / "consumer" / "plan", model, 2048)
    printed = json.loads(run(prefix / "bin" / "ollm", "plan", "--json", model, "--memory", "2048MiB",
                             "--context", 512))
    dict_of_example = json.loads(said[said.index("\n{\n"):])
    expect(list(dict_of_example.items()) == list(printed["runtime_plan"].items()),
           "plan.cc prints the runtime plan of `ollm plan --json`, key by key in order")
    expect(all(f"{decision['what']} = {decision['chosen']}: {decision['because']}\n" in said
               for decision in printed["execution_plan"]["decisions"]),
           "plan.cc prints every decision of `ollm plan --json`")


def library_folder(prefix):
    return next((prefix / "lib").rglob("libollm.so")).parent


def check_documents(prefix):
    documents = prefix / "share" / "doc" / "ollm"
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "tour.md", "architecture.md",
                 "runtime-plan.md", "decisions/same-bits.md", "formats/runtime_plan.schema.json"):
        expect((documents / name).is_file(), f"{name} is installed")
    share = prefix / "share"
    for name in ("man/man1/ollm.1", "man/man1/ollm-prompt.1", "zsh/site-functions/_ollm",
                 "bash-completion/completions/ollm", "fish/vendor_completions.d/ollm.fish"):
        expect((share / name).is_file(), f"{name} is installed")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    source, build = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    compiler = sys.argv[3]
    need("cmake", "ninja", "pkg-config", "nm", "c++filt")
    for built in ("src/ollm/cli/ollm", "src/ollm/libollm.so", "command/man/ollm.1"):
        if not (build / built).exists():
            print(f"skipped: {built} is not built")
            sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory(prefix="ollm_package_") as temporary:
        folder = pathlib.Path(temporary)
        run("cmake", "--install", build, "--prefix", folder / "installed")
        prefix = folder / "moved"
        (folder / "installed").rename(prefix)
        library = library_folder(prefix)
        environment = {**os.environ, "PKG_CONFIG_PATH": str(library / "pkgconfig")}
        check_headers(prefix, compiler)
        symbols = exported_symbols(library / "libollm.so")
        check_only_the_interface(symbols)
        check_whole_interface(prefix, symbols, folder)
        check_documents(prefix)
        version = check_versions(source, build, prefix, environment)
        check_examples(source, prefix, version, compiler, environment, folder)
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
