#include "sampler/candidates.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace tenon::sampler {
namespace {

double weight(const Candidate& candidate) { return static_cast<double>(std::exp(candidate.first)); }

double mass_of(std::span<const Candidate> candidates) {
  double mass = 0;
  for (const auto& candidate : candidates) mass += weight(candidate);
  return mass;
}

}  // namespace

bool Candidates::extend() {
  if (band_ == kBands) return false;
  constexpr float kAll = std::numeric_limits<float>::lowest();
  const float low = band_ + 1 == kBands ? kAll : std::max(max_ + kEdges[band_], kAll);
  gather(low, lowest_);
  lowest_ = low;
  ++band_;
  return true;
}

// Adds low <= logit < high; the first band also takes logits of +inf.
void Candidates::gather(float low, float high) {
  constexpr std::size_t kBlock = 64;
  const bool first = band_ == 0;
  for (std::size_t begin = 0; begin < row_.size(); begin += kBlock) {
    const std::size_t end = std::min(begin + kBlock, row_.size());
    int any = 0;  // most blocks have none: a loop without branches finds out fast
    for (std::size_t i = begin; i < end; ++i) any |= row_[i] >= low;
    if (!any) continue;
    for (std::size_t i = begin; i < end; ++i) {
      if (row_[i] >= low && (first || row_[i] < high)) members_.emplace_back(row_[i], static_cast<std::int32_t>(i));
    }
  }
}

void Candidates::keep_top_k(std::size_t k) {
  while (size() < k && extend()) {
  }
  close();
  if (size() <= k) return;
  work_.assign(members_.begin(), members_.end());
  const auto kth = work_.begin() + static_cast<std::ptrdiff_t>(k) - 1;
  std::nth_element(work_.begin(), kth, work_.end(), better);
  std::erase_if(members_, [last = kth->first](const Candidate& c) { return c.first < last; });
}

void Candidates::keep_mass(double mass) {
  std::size_t band_begin = 0;
  double before = 0, upto = mass_from(0);  // of the members before the last band, and of all
  while (size() == 0 || upto < mass) {
    const std::size_t begin = size();
    if (!extend()) break;
    band_begin = begin;
    before = std::exchange(upto, upto + mass_from(begin));
  }
  close();
  if (size() == 0 || upto < mass) return;  // rounding: all of them
  // Halving finds the place in the sorted order where the mass is reached, without sorting.
  work_.assign(members_.begin() + static_cast<std::ptrdiff_t>(band_begin), members_.end());
  std::span<Candidate> rest = work_;
  while (rest.size() > 1) {
    const std::size_t half = rest.size() / 2;
    std::nth_element(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(half), rest.end(), better);
    const double upper = before + mass_of(rest.first(half));
    if (upper >= mass) {
      rest = rest.first(half);
    } else {
      rest = rest.subspan(half);
      before = upper;
    }
  }
  std::erase_if(members_, [last = rest.front()](const Candidate& c) { return better(last, c); });
}

void Candidates::keep_weight(double least) {
  while (std::exp(static_cast<double>(lowest_)) > least && extend()) {
  }
  close();
  std::erase_if(members_, [least](const Candidate& c) { return weight(c) < least; });
}

double Candidates::mass_from(std::size_t begin) const { return mass_of(std::span(members_).subspan(begin)); }

}  // namespace tenon::sampler
