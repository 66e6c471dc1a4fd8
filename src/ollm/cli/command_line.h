// The words of a command line, sorted by one rule: which command, which option with which value,
// what is positional. Leaves to others: conversion and ranges of values (CLI11), what they mean.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ollm::cli {

/// What the words say.
struct CommandLine {
  CLI::App* command = nullptr;  // the innermost that was named
  bool help = false;            // --help anywhere, or `help` in place of a command
  bool version = false;         // --version anywhere
  std::string problem;          // what is wrong with the words; empty where nothing is
  /// The same in the one form that CLI11 cannot read in two ways, in its order, last word first:
  /// every value is a word behind its option, and what is positional stands behind "--".
  std::vector<std::string> words;
};

/// Sorts `words` by what `app` and the commands below it declare:
///
/// - A word is an option if a letter follows its one or two dashes; "-", "-1" and "- a" are not.
/// - An option that takes a value takes one: what stands behind "=", be it empty, or the next word
///   whatever it looks like; "--" and the name of an option of the command only behind "=".
/// - Behind "--" everything is positional. No option may be abbreviated.
CommandLine read_command_line(CLI::App& app, std::span<const std::string> words);

/// The check of a whole number from `min` to `max`, which the message names.
CLI::Validator count_from_to(std::uint64_t min, std::uint64_t max);

/// The words that name a command, from the program's on: "ollm config show".
std::string command_path(const CLI::App& command);

}  // namespace ollm::cli
