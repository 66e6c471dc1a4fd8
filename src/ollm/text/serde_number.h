// A decimal number as the Hugging Face library reads it from a tokenizer.json.
// Leaves every other number to the JSON parser, which rounds correctly.
#pragma once

namespace ollm::text {

/// What serde_json makes of the shortest decimal form of `value`: digits as an integer, then one
/// multiplication or division by a power of ten, which is off by a unit in the last place for one
/// score in six. Where two segmentations of a word sum to the same, that unit decides.
/// Source: serde_json, de.rs, f64_from_parts (without its feature float_roundtrip).
double serde_number(double value);

}  // namespace ollm::text
