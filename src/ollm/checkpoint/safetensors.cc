#include "ollm/checkpoint/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <span>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/base/json_cursor.h"
#include "ollm/checkpoint/foreign_file.h"

namespace ollm::checkpoint {

namespace {

constexpr std::string_view kNatural = "a non-negative integer";

}  // namespace

SafetensorsTensor SafetensorsHeader::tensor(std::size_t index) const {
  OLLM_CHECK(index < records_.size());
  const Record& record = records_[index];
  std::array<std::uint64_t, kMaxRank> sizes;
  for (std::size_t i = 0; i < record.rank; ++i) sizes[i] = sizes_[record.first_size + i];
  auto shape = Shape::make(std::span(sizes).first(record.rank));
  OLLM_CHECK(shape.ok());  // was made once while parsing
  return {view(record.name), record.dtype, *shape, record.begin_bytes, record.end_bytes};
}

std::pair<std::string_view, std::string_view> SafetensorsHeader::metadata(std::size_t index) const {
  OLLM_CHECK(index < metadata_.size());
  return {view(metadata_[index].first), view(metadata_[index].second)};
}

/// One pass over the JSON text, then the checks that need all tensors.
class SafetensorsParser {
 public:
  SafetensorsParser(std::string json, std::uint64_t data_bytes) {
    header_.json_ = std::move(json);
    header_.data_bytes_ = data_bytes;
  }

  Result<SafetensorsHeader> parse() {
    const std::string& json = header_.json_;
    if (json.size() > SafetensorsLimits::kHeaderBytes)
      return fail(ErrorKind::corrupt, fmt::format("a header of {} bytes; the format ends at {}",
                                                  json.size(), SafetensorsLimits::kHeaderBytes));
    if (json.empty() || json[0] != '{')
      return fail(ErrorKind::corrupt, "the header does not begin with '{'");
    OLLM_TRY_VOID(check_utf8(json));
    JsonCursor cursor(header_.json_);
    OLLM_TRY_VOID(parse_tensors(cursor));
    for (std::size_t i = cursor.position(); i < json.size(); ++i)
      if (json[i] != ' ')
        return fail(ErrorKind::corrupt,
                    fmt::format("byte {}: behind the header object only spaces may stand", i));
    OLLM_TRY_VOID(check_unique_names());
    OLLM_TRY_VOID(check_coverage());
    return std::move(header_);
  }

 private:
  using Record = SafetensorsHeader::Record;
  using Text = SafetensorsHeader::Text;

  Text text(std::string_view view) const {
    return {static_cast<std::uint32_t>(view.data() - header_.json_.data()),
            static_cast<std::uint32_t>(view.size())};
  }
  std::string named(const Record& record) const {
    return fmt::format("tensor {}", quote_name(header_.view(record.name)));
  }

  Result<void> parse_tensors(JsonCursor& cursor) {
    bool has_metadata = false;
    OLLM_TRY_VOID(cursor.expect('{', "an object"));
    for (bool first = true;; first = false) {
      OLLM_TRY(const bool another, cursor.more('}', first));
      if (!another) return {};
      OLLM_TRY(const std::string_view name, cursor.key());
      if (name == "__metadata__") {
        if (has_metadata) return cursor.error("duplicate key '__metadata__'");
        has_metadata = true;
        if (auto parsed = parse_metadata(cursor); !parsed.ok())
          return std::move(parsed).error().within("__metadata__");
        continue;
      }
      if (auto parsed = parse_tensor(cursor, name); !parsed.ok())
        return std::move(parsed).error().within(fmt::format("tensor {}", quote_name(name)));
    }
  }

  Result<void> parse_metadata(JsonCursor& cursor) {
    OLLM_TRY_VOID(cursor.expect('{', "an object"));
    for (bool first = true;; first = false) {
      OLLM_TRY(const bool another, cursor.more('}', first));
      if (!another) break;
      if (header_.metadata_.size() == SafetensorsLimits::kMetadataEntries)
        return fail(ErrorKind::unsupported,
                    fmt::format("more than {} entries", SafetensorsLimits::kMetadataEntries));
      OLLM_TRY(const std::string_view key, cursor.key());
      OLLM_TRY(const std::string_view value,
               cursor.string(fmt::format("a text under {}", quote_name(key))));
      header_.metadata_.emplace_back(text(key), text(value));
    }
    auto& entries = header_.metadata_;
    std::sort(entries.begin(), entries.end(), [this](const auto& a, const auto& b) {
      return header_.view(a.first) < header_.view(b.first);
    });
    const auto twice =
        std::adjacent_find(entries.begin(), entries.end(), [this](const auto& a, const auto& b) {
          return header_.view(a.first) == header_.view(b.first);
        });
    if (twice != entries.end())
      return fail(ErrorKind::corrupt,
                  fmt::format("duplicate key {}", quote_name(header_.view(twice->first))));
    return {};
  }

  Result<void> parse_tensor(JsonCursor& cursor, std::string_view name) {
    if (header_.records_.size() == SafetensorsLimits::kTensors)
      return fail(ErrorKind::unsupported, fmt::format("the header names more than {} tensors",
                                                      SafetensorsLimits::kTensors));
    if (name.size() > SafetensorsLimits::kNameBytes)
      return fail(ErrorKind::unsupported, fmt::format("a name of {} bytes; at most {} are read",
                                                      name.size(), SafetensorsLimits::kNameBytes));
    if (name.find('\0') != std::string_view::npos)
      return fail(ErrorKind::corrupt, "the name has a NUL in it");

    Record record{};
    record.name = text(name);
    std::optional<Shape> shape;
    bool has_dtype = false;
    bool has_offsets = false;
    OLLM_TRY_VOID(cursor.expect('{', "an object"));
    for (bool first = true;; first = false) {
      OLLM_TRY(const bool another, cursor.more('}', first));
      if (!another) break;
      OLLM_TRY(const std::string_view field, cursor.key());
      const auto twice = [&] { return cursor.error(fmt::format("duplicate key '{}'", field)); };
      if (field == "dtype") {
        if (has_dtype) return twice();
        OLLM_TRY(const std::string_view spelt, cursor.string("a text as dtype"));
        OLLM_TRY(record.dtype, parse_dtype(spelt));
        has_dtype = true;
      } else if (field == "shape") {
        if (shape) return twice();
        OLLM_TRY(shape, parse_shape(cursor, record));
      } else if (field == "data_offsets") {
        if (has_offsets) return twice();
        OLLM_TRY_VOID(parse_offsets(cursor, record));
        has_offsets = true;
      } else {
        return cursor.error(fmt::format("unknown field {}", quote_name(field)));
      }
    }
    const auto missing = [](std::string_view field) {
      return fail(ErrorKind::corrupt, fmt::format("has no '{}'", field));
    };
    if (!has_dtype) return missing("dtype");
    if (!shape) return missing("shape");
    if (!has_offsets) return missing("data_offsets");

    const auto bytes = size_bytes(record.dtype, *shape);
    if (!bytes)
      return fail(ErrorKind::corrupt, fmt::format("{} {} takes more than 2^63 - 1 bytes",
                                                  to_string(record.dtype), to_string(*shape)));
    if (record.end_bytes - record.begin_bytes != *bytes)
      return fail(
          ErrorKind::corrupt,
          fmt::format("{} {} takes {} bytes, but data_offsets [{}, {}] hold {}",
                      to_string(record.dtype), to_string(*shape), *bytes, record.begin_bytes,
                      record.end_bytes, record.end_bytes - record.begin_bytes));
    header_.records_.push_back(record);
    return {};
  }

  Result<Shape> parse_shape(JsonCursor& cursor, Record& record) {
    std::array<std::uint64_t, kMaxRank> sizes;
    std::size_t rank = 0;
    OLLM_TRY_VOID(cursor.expect('[', "a list as shape"));
    for (bool first = true;; first = false) {
      OLLM_TRY(const bool another, cursor.more(']', first));
      if (!another) break;
      if (rank == kMaxRank)
        return fail(ErrorKind::unsupported,
                    fmt::format("a shape of more than {} sizes is not read", kMaxRank));
      OLLM_TRY(sizes[rank], cursor.natural(fmt::format("{} in shape", kNatural)));
      ++rank;
    }
    record.first_size = static_cast<std::uint32_t>(header_.sizes_.size());
    record.rank = static_cast<std::uint8_t>(rank);
    header_.sizes_.insert(header_.sizes_.end(), sizes.begin(), sizes.begin() + record.rank);
    return Shape::make(std::span(sizes).first(rank));
  }

  Result<void> parse_offsets(JsonCursor& cursor, Record& record) {
    const std::string what = fmt::format("{} in data_offsets", kNatural);
    OLLM_TRY_VOID(cursor.expect('[', "a list of two as data_offsets"));
    OLLM_TRY(record.begin_bytes, cursor.natural(what));
    OLLM_TRY_VOID(cursor.expect(',', "a second number in data_offsets"));
    OLLM_TRY(record.end_bytes, cursor.natural(what));
    OLLM_TRY_VOID(cursor.expect(']', "']' behind two data_offsets"));
    if (record.begin_bytes > record.end_bytes)
      return fail(ErrorKind::corrupt, fmt::format("data_offsets [{}, {}] end before they begin",
                                                  record.begin_bytes, record.end_bytes));
    if (record.end_bytes > header_.data_bytes_)
      return fail(ErrorKind::corrupt,
                  fmt::format("its data ends at byte {}, but the file has {} bytes of data: it is "
                              "cut off, or not downloaded whole",
                              record.end_bytes, header_.data_bytes_));
    return {};
  }

  Result<void> check_unique_names() {
    const auto& records = header_.records_;
    std::vector<std::uint32_t> order(records.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
    const auto name = [&](std::uint32_t i) { return header_.view(records[i].name); };
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return name(a) < name(b); });
    const auto twice =
        std::adjacent_find(order.begin(), order.end(),
                           [&](std::uint32_t a, std::uint32_t b) { return name(a) == name(b); });
    if (twice == order.end()) return {};
    return fail(ErrorKind::corrupt, fmt::format("duplicate key {}: a tensor stands twice in the "
                                                "header",
                                                quote_name(name(*twice))));
  }

  // The tensors, in order of their data, follow each other without a hole from the first byte to
  // the last: nothing may hide in a file beside them.
  Result<void> check_coverage() {
    auto& records = header_.records_;
    std::sort(records.begin(), records.end(), [this](const Record& a, const Record& b) {
      if (a.begin_bytes != b.begin_bytes) return a.begin_bytes < b.begin_bytes;
      if (a.end_bytes != b.end_bytes) return a.end_bytes < b.end_bytes;
      return header_.view(a.name) < header_.view(b.name);
    });
    std::uint64_t covered = 0;
    for (std::size_t i = 0; i < records.size(); ++i) {
      const Record& record = records[i];
      if (record.begin_bytes < covered)
        return fail(ErrorKind::corrupt,
                    fmt::format("{} begins at byte {} of the data and overlaps {}, which ends at "
                                "byte {}",
                                named(record), record.begin_bytes, named(records[i - 1]), covered));
      if (record.begin_bytes > covered)
        return fail(
            ErrorKind::corrupt,
            fmt::format("{} begins at byte {} of the data: bytes {} to {} before it belong "
                        "to no tensor",
                        named(record), record.begin_bytes, covered, record.begin_bytes - 1));
      covered = record.end_bytes;
    }
    if (covered != header_.data_bytes_)
      return fail(
          ErrorKind::corrupt,
          fmt::format("the tensors end at byte {} of the data, but the file has {} bytes of "
                      "data: the rest belongs to no tensor",
                      covered, header_.data_bytes_));
    return {};
  }

  SafetensorsHeader header_;
};

Result<SafetensorsHeader> parse_safetensors_header(std::string json, std::uint64_t data_bytes) {
  return SafetensorsParser(std::move(json), data_bytes).parse();
}

namespace {

Result<SafetensorsFile> read_header(const io::File& file) {
  constexpr std::uint64_t kLengthBytes = 8;
  static_assert(std::endian::native == std::endian::little, "the length is little-endian");
  const std::uint64_t file_bytes = file.size_bytes();
  if (file_bytes < kLengthBytes)
    return fail(ErrorKind::corrupt,
                fmt::format("has {} bytes, too few for the length of a header", file_bytes));
  std::uint64_t header_bytes = 0;
  OLLM_TRY_VOID(file.read_at(0, std::as_writable_bytes(std::span(&header_bytes, 1))));
  if (header_bytes > SafetensorsLimits::kHeaderBytes)
    return fail(ErrorKind::corrupt,
                fmt::format("says its header has {} bytes; the format ends at {}", header_bytes,
                            SafetensorsLimits::kHeaderBytes));
  if (header_bytes > file_bytes - kLengthBytes)
    return fail(ErrorKind::corrupt,
                fmt::format("says its header has {} bytes, but only {} follow: it is cut off, or "
                            "not downloaded whole",
                            header_bytes, file_bytes - kLengthBytes));
  std::string json(header_bytes, '\0');
  OLLM_TRY_VOID(file.read_at(kLengthBytes, std::as_writable_bytes(std::span(json))));
  const std::uint64_t data_offset = kLengthBytes + header_bytes;
  OLLM_TRY(SafetensorsHeader header,
           parse_safetensors_header(std::move(json), file_bytes - data_offset));
  return SafetensorsFile{std::move(header), data_offset};
}

bool may_be_length(std::string_view first) {
  std::uint64_t length = 0;
  if (first.size() < sizeof(length)) return false;
  std::memcpy(&length, first.data(), sizeof(length));
  return length <= SafetensorsLimits::kHeaderBytes;
}

}  // namespace

std::optional<Error> foreign_safetensors(const io::File& file) {
  std::string first(kForeignFileBytes, '\0');
  const auto got = file.read_up_to(0, std::as_writable_bytes(std::span(first)));
  first.resize(got.ok() ? *got : 0);
  if (!got.ok() || may_be_length(first)) return std::nullopt;
  return foreign_file(first, file.size_bytes());
}

Result<SafetensorsFile> read_safetensors_header(const io::File& file) {
  auto read = read_header(file);
  if (read.ok()) return read;
  const std::string path = printable(file.path().native());
  if (read.error().kind == ErrorKind::corrupt)
    if (auto foreign = foreign_safetensors(file)) return std::move(*foreign).within(path);
  if (read.error().message.starts_with(file.path().native()))
    return read;  // errors of reading name it already
  return std::move(read).error().within(path);
}

}  // namespace ollm::checkpoint
