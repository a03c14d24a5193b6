#pragma once

/// Integers that do not mix: `using ShardId = Strong<struct ShardIdTag, std::uint16_t>;`

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace ashlar {

template <class Tag, class Rep>
struct Strong {
  Rep value{};

  constexpr Strong() = default;
  constexpr explicit Strong(Rep v) noexcept : value(v) {}
  constexpr auto operator<=>(const Strong&) const = default;
};

}  // namespace ashlar

template <class Tag, class Rep>
struct std::hash<ashlar::Strong<Tag, Rep>> {
  std::size_t operator()(ashlar::Strong<Tag, Rep> strong) const noexcept {
    return std::hash<Rep>{}(strong.value);
  }
};
