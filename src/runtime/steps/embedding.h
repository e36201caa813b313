#pragma once

#include "runtime/step.h"

namespace tenon::runtime {

/// Rows of a table as it lies in the file, widened and scaled.
class EmbeddingStep final : public RowStep {
 public:
  /// What names a token's row of the table.
  enum class Index : std::uint8_t { kTokenId, kPosition, kFixed };
  struct Data {
    Index index = Index::kTokenId;
    std::int32_t fixed = 0;  ///< the row of kFixed; else added to what names it
    std::size_t table;
    float scale;
    std::int64_t columns;
    Place out;
  };
  EmbeddingStep(std::string scope, const Data& data) : RowStep(std::move(scope), Rows::kTokens), data_(data) {}
  const char* kernel() const override { return "dequantize_row"; }
  std::string describe() const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  Data data_;
};

}  // namespace tenon::runtime
