#include "model/thrown.h"

#include <exception>
#include <string>

namespace tenon::model {

std::unexpected<Error> thrown_by(const Architecture& architecture) {
  const std::string who = "the architecture " + std::string(architecture.name) + " threw an exception";
  try {
    throw;
  } catch (const std::exception& exception) {
    return invalid(who + ": " + exception.what());
  } catch (...) {
    return invalid(who + " that is no std::exception");
  }
}

}  // namespace tenon::model
