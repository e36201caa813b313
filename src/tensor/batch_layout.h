// The model inputs, the one table on which the request path and the model path agree: nn::RaggedBatch declares them,
// batch/ fills them, runtime/ checks them.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace tenon::tensor {

/// Named sizes that are known only when a batch is run.
namespace dims {
inline constexpr const char* kTotalTokens = "total_tokens";  ///< tokens of all rows, concatenated
inline constexpr const char* kRows = "rows";                 ///< sequences in the batch
inline constexpr const char* kRowOffsets = "rows_plus_1";    ///< rows + 1
inline constexpr const char* kMaxPages = "max_pages";        ///< columns of the page table
inline constexpr const char* kSampledRows = "sampled_rows";  ///< tokens whose logits are wanted
}  // namespace dims

struct BatchInput {
  const char* name;
  DType dtype;
  std::array<const char*, 2> dims;  ///< nullptr: no second dim
};

inline constexpr std::array kBatchInputs = {
    BatchInput{"token_ids", DType::kI32, {dims::kTotalTokens, nullptr}},
    BatchInput{"positions", DType::kI32, {dims::kTotalTokens, nullptr}},  ///< position of each token in its sequence
    BatchInput{
        "row_offsets", DType::kI32, {dims::kRowOffsets, nullptr}},  ///< row r has tokens [offsets[r], offsets[r+1])
    BatchInput{
        "page_table", DType::kI32, {dims::kRows, dims::kMaxPages}},  ///< page of each kPageTokens positions; -1: none
    BatchInput{"logit_rows", DType::kI32, {dims::kSampledRows, nullptr}},  ///< batch token indices, ascending
};

/// One batch. The keys and values of row r's tokens are appended at their positions; a token attends to the positions
/// 0 .. its own. Positions of one row are consecutive.
struct Batch {
  std::span<const std::int32_t> token_ids;    ///< [total_tokens]
  std::span<const std::int32_t> positions;    ///< [total_tokens]
  std::span<const std::int32_t> row_offsets;  ///< [rows + 1]
  std::span<const std::int32_t> page_table;   ///< [rows, max_pages]
  int max_pages = 0;
  std::span<const std::int32_t> logit_rows;  ///< [sampled_rows]

  int total_tokens() const { return static_cast<int>(token_ids.size()); }
  int rows() const { return static_cast<int>(row_offsets.size()) - 1; }
  int sampled_rows() const { return static_cast<int>(logit_rows.size()); }
};

}  // namespace tenon::tensor
