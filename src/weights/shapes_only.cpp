#include "weights/mapped_checkpoint.h"

namespace tenon::weights {

Result<std::unique_ptr<Checkpoint>> shapes_only(const Json& tensors) {
  if (!tensors.is_object()) return invalid("tensor shapes must be a JSON object of {\"name\": {\"dtype\", \"shape\"}}");
  auto checkpoint = std::make_unique<MappedCheckpoint>(Format::kSafetensors);
  for (const auto& [name, value] : tensors.items()) {
    const std::string where = "tensor " + shown(name);
    if (!value.is_object() || !value.contains("dtype") || !value["dtype"].is_string() || !value.contains("shape") ||
        !value["shape"].is_array()) {
      return invalid(where + ": needs \"dtype\" (a string) and \"shape\" (an array)");
    }
    const auto& type_name = value["dtype"].get_ref<const std::string&>();
    const auto dtype = tensor::dtype_from_name(type_name);
    if (!dtype) return unsupported(where + ": unknown dtype " + shown(type_name));
    tensor::Shape shape;
    for (const Json& dim : value["shape"]) {
      if (!dim.is_number_integer()) return invalid(where + ": its shape must hold integers");
      shape.push_back(dim.get<std::int64_t>());
    }
    if (!checked_bytes(*dtype, shape)) return invalid(where + ": impossible shape for " + type_name);
    TENON_TRY(checkpoint->add_shape(name, *dtype, std::move(shape)));
  }
  return checkpoint;
}

}  // namespace tenon::weights
