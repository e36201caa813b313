// Graph -> Executable: passes, lowering, memory plan, weight packing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "graph/graph.h"
#include "runtime/executable.h"
#include "tensor/kv_layout.h"
#include "tensor/row_view.h"

namespace tenon::compiler {

/// Where weights come from, by our names. loader/ implements it over a checkpoint and an adapter.
class WeightProvider {
 public:
  virtual ~WeightProvider() = default;
  /// Of the rows of weight(name); there need be no data yet.
  virtual Result<tensor::DType> dtype(const std::string& name) = 0;
  /// A vector is one row. Asked for when it is packed.
  virtual Result<tensor::RowView> weight(const std::string& name) = 0;
  virtual void release(const std::string& name) = 0;  ///< packed: its pages may go; it stays readable
  /// release() for times at which the provider may be gone; weight(name), handed out before, keeps what it needs. Null
  /// where its rows do not lie in a mapped file as they are: such are packed at once.
  virtual std::function<void()> release_later(const std::string&) { return {}; }
};

struct CompileOptions {
  runtime::Limits limits;
  tensor::KvLayout kv_layout;
  /// What a matmul weight is stored as: kBF16 or kF32. Quantized weights keep their own format unless `dequantize`.
  tensor::DType float_dtype = tensor::DType::kBF16;
  bool dequantize = false;
  /// Leaves to Executable::pack_more() what lies in mapped files, where memory is plenty.
  bool pack_later = false;
  bool taps = false;                         ///< keep tapped values (more arena)
  std::vector<std::string> disabled_passes;  ///< beside those of TENON_DISABLE_PASSES=a,b
};

struct PassReport {
  std::string name;
  double seconds = 0;
  int nodes_before = 0, nodes_after = 0;
  bool disabled = false;
};

/// Text of the stages, for `tenon inspect`; no weights are needed. weight_dtype tells what each matmul weight is stored
/// as in the file.
struct Explanation {
  std::string graph_before, graph_after, plan;
  std::vector<PassReport> passes;
  std::int64_t weight_bytes = 0, arena_bytes = 0;
};
Result<Explanation> explain(const graph::Graph& graph, WeightProvider& weights, const CompileOptions& options);

/// Compiles and packs, in parallel on `pool`. Too little memory is kResourceExhausted and says how much is needed.
Result<std::shared_ptr<runtime::Executable>> compile(const graph::Graph& graph, WeightProvider& weights,
                                                     const CompileOptions& options, ThreadPool& pool);

}  // namespace tenon::compiler
