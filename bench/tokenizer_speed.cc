// How fast a tokenizer loads, encodes and decodes: one JSON object for a folder and a text.
// Leaves the comparison with other libraries to tokenizer_speed.py, which runs both in turn.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "ollm/text/tokenizer.h"

namespace {

using Clock = std::chrono::steady_clock;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The median of `runs` runs, in seconds.
template <typename Run>
double median_seconds(int runs, const Run& run) {
  std::vector<double> seconds;
  for (int i = 0; i < runs; ++i) {
    const auto start = Clock::now();
    run();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + runs / 2, seconds.end());
  return seconds[static_cast<std::size_t>(runs / 2)];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: tokenizer_speed FOLDER TEXT [RUNS]\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  const std::string tokenizer_json = read_file(folder / "tokenizer.json");
  const std::string config = read_file(folder / "tokenizer_config.json");
  const std::string text = read_file(argv[2]);
  const int runs = argc > 3 ? std::atoi(argv[3]) : 5;

  ollm::text::TokenizerFiles files;
  files.tokenizer_json = tokenizer_json;
  files.tokenizer_config_json = config;
  auto tokenizer = ollm::text::Tokenizer::make(files);
  if (!tokenizer.ok()) {
    fmt::print(stderr, "{}\n", tokenizer.error().message);
    return 1;
  }
  const double load_s =
      median_seconds(runs, [&] { static_cast<void>(ollm::text::Tokenizer::make(files).ok()); });
  std::vector<ollm::TokenId> ids;
  bool failed = false;
  const double encode_s = median_seconds(runs, [&] {
    auto encoded = tokenizer->encode(text, {.add_special = false, .parse_special = true});
    failed = failed || !encoded.ok();
    if (encoded.ok()) ids = std::move(encoded).value();
  });
  const double decode_s =
      median_seconds(runs, [&] { failed = failed || !tokenizer->decode(ids, false).ok(); });
  if (failed) {
    fmt::print(stderr, "encoding or decoding failed\n");
    return 1;
  }
  const double mib = static_cast<double>(text.size()) / (1 << 20);
  fmt::print(
      "{{\"folder\": \"{}\", \"bytes\": {}, \"tokens\": {}, \"load_s\": {:.4f}, \"encode_s\": "
      "{:.4f}, \"encode_mib_per_s\": {:.2f}, \"decode_mib_per_s\": {:.2f}, \"memory_bytes\": "
      "{}}}\n",
      folder.filename().string(), text.size(), ids.size(), load_s, encode_s, mib / encode_s,
      mib / decode_s, tokenizer->memory_bytes());
  return 0;
}
