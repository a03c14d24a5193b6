#pragma once

/// Keys and values as text that shows every byte.

#include <string>

#include "ashlar/base/bytes.h"

namespace ashlar::app {

/// Backslashes, and what is not printable ASCII, escaped as in C.
std::string escaped(Bytes bytes);

/// A stored key: its user key, escaped; before it "family N: " or "type N: ", where it is no key of the
/// store's own.
std::string key_text(Bytes stored);

}  // namespace ashlar::app
