#pragma once

/// Spec strings: how devices are named (D9).
///
///   uring:/dev/nvme0n1?qd=64&direct       transport : target ? options
///   raid1(uring:/a, uring:/b)?reads=spread   layer ( devices ) ? options
///   delay(ram:1GiB)?read=100us
///
/// A target ends at ',' or ')' inside a layer, and at '?'. One that contains such characters is written in
/// double quotes, in which '\' quotes '"' and '\': uring:"/data/a,b". An option without '=' is a flag that is
/// set.

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.h"

namespace ashlar {

/// What is wrong with a spec, and where in its text; or why the device it names could not be opened.
struct SpecError {
  std::string message;  ///< one line: what, and what to do
  std::size_t at = 0;   ///< offset in the text
  Errc code = Errc::invalid;

  /// The spec, and below it a caret with the message.
  std::string show(std::string_view spec) const;
};
template <class T>
using SpecResult = std::expected<T, SpecError>;

struct SpecOption {
  std::string name, value;  ///< value: "true" where there is no '='
  std::size_t at = 0;       ///< of the name
  std::size_t value_at = 0;
};

/// A parsed spec. Offsets are those in the text it was parsed from.
struct Spec {
  std::string kind;  ///< "uring", "raid1"
  std::size_t at = 0;
  bool layer = false;  ///< kind(…), not kind:…
  std::string target;  ///< of a transport; may be empty
  std::size_t target_at = 0;
  std::vector<Spec> children;  ///< of a layer, at least one
  std::vector<SpecOption> options;
  std::string text;  ///< this spec alone, as written
};

/// Parses the whole text. At most 16 levels deep, 64 devices in one layer, 64 KiB.
SpecResult<Spec> parse_spec(std::string_view text);

/// `text` as a target: quoted where that is needed.
std::string quote_target(std::string_view text);

}  // namespace ashlar
