// Steps → phases, storages → offsets in the arena.
#include <algorithm>
#include <limits>

#include "compiler/lowering/lower.h"

namespace tenon::compiler {
namespace {

/// Packing so many floats again on every thread costs less than a barrier.
constexpr std::int64_t kReplicatedFloats = 8192;

bool overlap(const Access& a, const Access& b) { return a.storage == b.storage && a.begin < b.end && b.begin < a.end; }

enum class Order : std::uint8_t { kNone, kSamePhase, kLaterPhase };

// What `later` must wait for: nothing; its turn on the same thread; or all threads.
Order order_of(const LoweredStep& earlier, const LoweredStep& later) {
  Order order = Order::kNone;
  for (const Access& a : earlier.accesses) {
    for (const Access& b : later.accesses) {
      if (!overlap(a, b) || (!a.write && !b.write)) continue;
      const bool same_rows = earlier.by_rows && later.by_rows && earlier.rows == later.rows && a.own_rows && b.own_rows;
      if (!same_rows) return Order::kLaterPhase;
      order = Order::kSamePhase;
    }
  }
  return order;
}

// Each step as early as its predecessors allow.
std::vector<std::size_t> assign_phases(const std::vector<LoweredStep>& steps) {
  std::vector<std::size_t> phase(steps.size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const std::size_t earliest = phase[j] + 1;
      if (earliest <= phase[i]) continue;  // cannot move it
      const Order order = order_of(steps[j], steps[i]);
      if (order == Order::kLaterPhase) phase[i] = earliest;
      if (order == Order::kSamePhase) phase[i] = std::max(phase[i], phase[j]);
    }
  }
  return phase;
}

struct Lifetime {
  std::size_t first = std::numeric_limits<std::size_t>::max(), last = 0;
  bool crosses(const Lifetime& other) const { return first <= other.last && other.first <= last; }
};

// First fit, the largest first.
std::vector<std::int64_t> assign_offsets(const std::vector<Storage>& storages, const std::vector<Lifetime>& lifetimes,
                                         std::int64_t* arena_bytes) {
  std::vector<std::size_t> order(storages.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return storages[a].bytes > storages[b].bytes; });
  std::vector<std::int64_t> offsets(storages.size());
  std::vector<std::size_t> placed;  // by offset
  for (std::size_t i : order) {
    std::int64_t offset = 0;
    for (std::size_t j : placed) {
      if (!lifetimes[i].crosses(lifetimes[j])) continue;
      if (offset + storages[i].bytes <= offsets[j]) break;
      offset = std::max(offset, offsets[j] + storages[j].bytes);
    }
    offsets[i] = offset;
    *arena_bytes = std::max(*arena_bytes, offset + storages[i].bytes);
    placed.insert(std::ranges::upper_bound(placed, offset, {}, [&](std::size_t j) { return offsets[j]; }), i);
  }
  return offsets;
}

class Planner {
 public:
  Planner(Lowered lowered, const CompileOptions& options) : low_(std::move(lowered)), options_(options) {}

  runtime::Plan run() {
    const std::vector<std::size_t> phase = assign_phases(low_.steps);
    std::size_t phases = 0;
    for (std::size_t p : phase) phases = std::max(phases, p + 1);
    members_.resize(phases);
    for (std::size_t i = 0; i < phase.size(); ++i) members_[phase[i]].push_back(i);
    plan_.phases.resize(phases);
    for (std::size_t p = 0; p + 1 < phases; ++p) replicate(p);
    place_storages();
    make_steps();
    return std::move(plan_);
  }

 private:
  bool is_pack_phase(std::size_t p) const {
    return std::ranges::all_of(members_[p], [&](std::size_t i) {
      return low_.steps[i].packs >= 0 && low_.steps[i].rows == low_.steps[members_[p].front()].rows;
    });
  }

  // Whether phase p may run without a barrier after it: it only packs, what it packs is read in the next phase and not
  // after, and the next phase overwrites nothing that it reads.
  bool can_replicate(std::size_t p) const {
    if (!is_pack_phase(p) || (p > 0 && plan_.phases[p - 1].replicated_rows > 0)) return false;
    for (std::size_t i : members_[p]) {
      for (std::size_t q = p + 1; q < members_.size(); ++q) {
        for (std::size_t j : members_[q]) {
          for (const Access& b : low_.steps[j].accesses) {
            for (const Access& a : low_.steps[i].accesses) {
              if (!overlap(a, b)) continue;
              if (q == p + 1 && !a.write && b.write) return false;
              if (q > p + 1 && a.write && !b.write) return false;
            }
          }
        }
      }
    }
    return true;
  }

  void replicate(std::size_t p) {
    if (!can_replicate(p)) return;
    std::int64_t widest = 0, bytes = 0;
    for (std::size_t i : members_[p]) widest = std::max(widest, packed(i).place.k);
    const std::int64_t rows = std::max<std::int64_t>(1, kReplicatedFloats / widest);
    for (std::size_t i : members_[p]) {
      runtime::PackedPlace& place = packed(i).place;
      place.replicated_rows = rows;
      place.replica_offset = bytes;
      std::int64_t most = 0;
      for (std::int64_t m = 1; m <= rows; ++m) {
        most = std::max(most, kernels::kernels().activation_layout(place.weight_dtype, m, place.k).bytes());
      }
      bytes += (most + 63) / 64 * 64;
    }
    plan_.phases[p].replicated_rows = rows;
    plan_.phases[p].rows = low_.steps[members_[p].front()].rows;
    plan_.replica_bytes = std::max(plan_.replica_bytes, bytes);
  }

  // Steps of one phase run at the same time, so lifetimes are counted in phases; what a replicated phase reads lives
  // through the next one too, which begins before all threads have left it.
  void place_storages() {
    std::vector<Lifetime> lifetimes(low_.storages.size());
    for (std::size_t p = 0; p < members_.size(); ++p) {
      const std::size_t last = plan_.phases[p].replicated_rows > 0 ? p + 1 : p;
      for (std::size_t i : members_[p]) {
        for (const Access& access : low_.steps[i].accesses) {
          Lifetime& lifetime = lifetimes[static_cast<std::size_t>(access.storage)];
          lifetime.first = std::min(lifetime.first, p);
          lifetime.last = std::max(lifetime.last, last);
        }
      }
    }
    for (std::size_t i = 0; i < lifetimes.size(); ++i) {
      if (low_.storages[i].pinned) lifetimes[i].last = members_.size();
    }
    offsets_ = assign_offsets(low_.storages, lifetimes, &plan_.arena_bytes);
    for (PackedOperand& operand : low_.packed) {
      operand.place.offset = offsets_[static_cast<std::size_t>(operand.storage)];
    }
  }

  void make_steps() {
    const Placement at(offsets_);
    for (std::size_t p = 0; p < members_.size(); ++p) {
      for (std::size_t i : members_[p]) {
        auto step = low_.steps[i].make(at, low_.packed);
        plan_.scratch_bytes =
            std::max(plan_.scratch_bytes, step->scratch_bytes(kernels::kernels(), options_.limits, options_.kv_layout));
        plan_.phases[p].steps.push_back(std::move(step));
      }
    }
    plan_.scratch_bytes = (plan_.scratch_bytes + 63) / 64 * 64;
    plan_.limits = options_.limits;
    plan_.kv_layout = options_.kv_layout;
    plan_.weight_bytes = low_.weight_bytes;
    plan_.streamed_bytes = low_.streamed_bytes;
    plan_.flops_per_token = low_.flops_per_token;
    plan_.flops_per_sampled_row = low_.flops_per_sampled_row;
    for (const auto& table : low_.tables) plan_.tables.push_back(table.name);
    plan_.logits = at(low_.logits);
    plan_.vocab_size = low_.logits.columns;
    for (const auto& tap : low_.taps) plan_.taps.push_back({tap.name, at(tap.view), tap.view.rows, tap.dims});
  }

  PackedOperand& packed(std::size_t step) { return low_.packed[static_cast<std::size_t>(low_.steps[step].packs)]; }

  Lowered low_;
  const CompileOptions& options_;
  runtime::Plan plan_;
  std::vector<std::vector<std::size_t>> members_;  // steps of each phase, in order
  std::vector<std::int64_t> offsets_;
};

}  // namespace

runtime::Plan make_plan(Lowered lowered, const CompileOptions& options) {
  return Planner(std::move(lowered), options).run();
}

}  // namespace tenon::compiler
