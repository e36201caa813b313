// The header of one SafeTensors file (https://github.com/huggingface/safetensors#format):
//   u64 little-endian: n | n bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}} | data
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "weights/stored_tensor.h"

namespace tenon::weights {

/// The format's own bound on the header.
inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;

/// Checks the header against the file and returns the tensors in the order of their data. The tensors must cover the
/// data exactly: no overlap, no hole, no trailing bytes. `file` names the file in messages.
Result<std::vector<StoredTensor>> parse_safetensors(std::span<const std::byte> bytes, const std::string& file);

/// SafeTensors' name of a dtype ("F8_E4M3"); null for GGUF's block formats, which SafeTensors cannot hold.
const char* safetensors_dtype_name(tensor::DType dtype);

}  // namespace tenon::weights
