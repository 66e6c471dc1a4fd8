#include "ollm/checkpoint/foreign_file.h"

#include <fmt/format.h>

#include <string>

#include "ollm/base/json_cursor.h"
#include "ollm/base/text_form.h"

namespace ollm::checkpoint {
namespace {

constexpr std::string_view kConvert =
    "look for the model's safetensors files, or convert it (Transformers: "
    "model.save_pretrained(folder, safe_serialization=True))";
constexpr std::string_view kWhyNoPickle =
    "a pickle is a program, and loading it runs whatever its author put in, so pickles are refused";

}  // namespace

std::optional<Error> foreign_text(std::string_view first_bytes) {
  std::string_view text = first_bytes;
  if (text.starts_with("version https://git-lfs"))
    return fail(ErrorKind::corrupt,
                "is a git-LFS pointer, not the file it stands for; run `git lfs pull` in the "
                "folder, or download the model with a Hugging Face tool");
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  while (!text.empty() && (text[0] == ' ' || text[0] == '\n' || text[0] == '\r' || text[0] == '\t'))
    text.remove_prefix(1);
  const std::string start = lower(text.substr(0, 16));
  if (start.starts_with("<!doctype") || start.starts_with("<html") || start.starts_with("<?xml"))
    return fail(ErrorKind::corrupt,
                "is a web page, most likely one that asks to log in or says no; download the file "
                "again, with a token if the model asks for one");
  return std::nullopt;
}

std::optional<Error> foreign_file(std::string_view first_bytes, std::uint64_t file_bytes) {
  if (file_bytes == 0)
    return fail(ErrorKind::corrupt, "is empty; the download failed: fetch the file again");
  if (auto text = foreign_text(first_bytes)) return text;
  if (first_bytes.starts_with("GGUF"))
    return fail(ErrorKind::unsupported,
                "is a GGUF file, llama.cpp's format; only safetensors are read: take the original "
                "model, from which the GGUF was made");
  // PyTorch's own form since 1.6 is a zip that holds a pickle.
  if (first_bytes.starts_with("PK\x03\x04"))
    return fail(ErrorKind::unsupported,
                fmt::format("is a zip archive, most likely PyTorch's with a pickle inside; {}: {}",
                            kWhyNoPickle, kConvert));
  if (first_bytes.size() >= 2 && first_bytes[0] == '\x80' && first_bytes[1] >= 2 &&
      first_bytes[1] <= 5)  // PROTO 2 to 5
    return fail(ErrorKind::unsupported,
                fmt::format("is a Python pickle; {}: {}", kWhyNoPickle, kConvert));
  if (first_bytes.starts_with("\x1f\x8b"))
    return fail(ErrorKind::corrupt, "is packed with gzip; unpack it first");
  if (first_bytes.starts_with("{"))
    return fail(ErrorKind::corrupt,
                "is a JSON text, perhaps the error message of a server; download the file again");
  return std::nullopt;
}

std::optional<Error> foreign_weights_name(std::string_view file_name) {
  const std::string name = lower(file_name);
  const std::string shown = printable(file_name);
  for (const std::string_view pickle : {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
    if (name.ends_with(pickle))
      return fail(ErrorKind::unsupported,
                  fmt::format("{} is a pickle checkpoint of PyTorch; {}: {}", shown, kWhyNoPickle,
                              kConvert));
  if (name.ends_with(".gguf") || name.ends_with(".ggml"))
    return fail(ErrorKind::unsupported,
                fmt::format("{} is in llama.cpp's format; only safetensors are read: take the "
                            "original model, from which it was made",
                            shown));
  for (const std::string_view other : {".h5", ".msgpack", ".onnx", ".npz", ".tflite"})
    if (name.ends_with(other))
      return fail(ErrorKind::unsupported,
                  fmt::format("{} holds weights for another framework; {}", shown, kConvert));
  return std::nullopt;
}

}  // namespace ollm::checkpoint
