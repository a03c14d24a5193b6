#pragma once

/// Column families: sets of keys with a name and rules of their own, in one database. They share its log, so
/// that a batch or a transaction across families is one.
///
///   const ashlar::Family sessions = db.create_family("sessions", {.ttl = std::chrono::hours(1)}).value();
///   db.put("user:1", "…", {.family = sessions});
///   auto value = db.reader({.family = sessions}).get("user:1");

#include <chrono>
#include <cstdint>
#include <string>

namespace ashlar {

namespace embed {
class Engine;
}

struct FamilyOptions {
  std::string merge_operator = {};   ///< by name; empty: its keys take no merge operands
  std::chrono::milliseconds ttl{0};  ///< what is put without an expiry is absent so long after; 0: it stays
};

/// Names one family of one open database: a value, to be copied. By itself, the one that every database has.
/// Not to be used after the family was dropped.
class Family {
 public:
  constexpr Family() noexcept = default;
  bool operator==(const Family&) const = default;
  /// For languages that pass numbers: 0 for the one that every database has, then 1 to 128. Any other number
  /// is of a family that there is not, as that of one that was never made.
  constexpr std::uint32_t number() const noexcept { return type_ == 1 ? 0 : type_ - 0x7fu; }
  static constexpr Family of_number(std::uint32_t number) noexcept {
    if (number == 0) return Family();
    return Family(static_cast<std::uint8_t>(number <= 128 ? number + 0x7f : no_type));
  }

 private:
  friend class embed::Engine;
  constexpr explicit Family(std::uint8_t type) noexcept : type_(type) {}

  static constexpr std::uint8_t no_type = 0x7e;  // whose number is none of them either

  std::uint8_t type_ = 1;  // the first byte of its stored keys
};

struct FamilyDescription {
  std::string name;
  Family family;
  FamilyOptions options;
};

}  // namespace ashlar
