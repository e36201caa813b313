// tenon_parity MODEL REFERENCE [ENCODING]: KL, top-1 agreement and max error against a dump of transformers' logits.
#include <cstdio>

#include "runner.h"

int main(int argc, char** argv) {
  using namespace tenon;
  if (argc < 3) {
    std::fprintf(stderr, "usage: tenon_parity MODEL REFERENCE.safetensors [ENCODING]\n");
    return 2;
  }
  const auto reference = golden::read_reference(argv[2]);
  auto runner = golden::Runner::load({.model = argv[1], .quantization_encoding = argc > 3 ? argv[3] : ""},
                                     ThreadPool::default_threads());
  if (!reference || !runner) {
    std::fprintf(stderr, "%s\n", (reference ? runner.error() : reference.error()).message.c_str());
    return 1;
  }
  golden::Difference total;
  for (std::size_t n = 0; n < reference->prompts.size(); ++n) {
    const auto ours = (*runner)->run(reference->prompts[n], 512);
    golden::accumulate(total, golden::compare(reference->logits[n], ours, (*runner)->vocab()));
  }
  std::printf("%s, %s: %lld tokens, KL mean %.3g max %.3g, top-1 agreement %.2f %%, max abs error %.3g\n", argv[1],
              (*runner)->model().encoding.c_str(), static_cast<long long>(total.tokens), total.kl_mean, total.kl_max,
              100 * total.top1, total.max_abs);
}
