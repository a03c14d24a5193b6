#pragma once

/// Options, each declared once, in the module that owns it:
///
///   struct LogOptions { std::uint64_t segment_bytes = 64_MiB; std::chrono::microseconds linger{0}; };
///
///   void describe(OptionSet& set, LogOptions& options) {
///     set.add("log.segment-bytes", options.segment_bytes,
///             {.unit = Unit::bytes, .min = 1_MiB, .max = 1_GiB, .multiple_of = 4_KiB, .help = "Size of a log
///             segment"});
///     set.add("log.linger", options.linger, {.max = 10'000, .help = "Longest wait for company in a commit
///     group"});
///   }
///
/// From the declaration follow the flag --log-segment-bytes, the variable ASHLAR_LOG_SEGMENT_BYTES, the TOML
/// key segment-bytes in table [log], the reference documentation, and the random configurations that tests
/// run with. The default is the value that the field has when it is declared.

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <deque>
#include <expected>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ashlar/base/random.h"

namespace ashlar {

/// What a number counts. Durations are written with their unit (5s, 100us) and kept as a count of this one.
enum class Unit : std::uint8_t { none, bytes, percent, nanoseconds, microseconds, milliseconds, seconds };

struct NumberSpec {
  Unit unit = Unit::none;  ///< taken from the type where the field is a std::chrono::duration
  std::uint64_t min = 0;   ///< bounds are included, and counted in `unit`
  std::uint64_t max = std::numeric_limits<std::uint64_t>::max();  ///< lowered to what the field can hold
  std::uint64_t multiple_of = 1;
  std::uint64_t test_max = 0;  ///< random configurations stay at or below it, where it is not 0
  bool live = false;           ///< may be changed while the program runs
  const char* help = "";
};
struct FlagSpec {
  bool live = false;
  const char* help = "";
};
struct ChoiceSpec {
  std::vector<std::string_view> names;  ///< one for each enumerator, in order from 0; static strings
  bool live = false;
  const char* help = "";
};
struct TextSpec {
  const char* form = "TEXT";  ///< what it looks like, such as "ADDRESS:PORT"
  std::size_t max_size = 4096;
  bool secret = false;  ///< the value is never shown
  bool live = false;
  const char* help = "";
};

/// Nothing, or one line that says what is wrong with a value and which values are right.
using OptionResult = std::expected<void, std::string>;

/// One declared option, bound to a field of its module's options struct. Made by OptionSet only.
class Option {
 public:
  enum class Kind : std::uint8_t { number, flag, choice, text };

  Kind kind() const noexcept { return kind_; }
  const std::string& name() const noexcept { return name_; }  ///< "log.segment-bytes"
  std::string flag() const;                                   ///< "--log-segment-bytes"
  std::string environment_variable() const;                   ///< "ASHLAR_LOG_SEGMENT_BYTES"
  std::string form() const;    ///< "SIZE", "DURATION", "NUMBER", "debug|info", …
  std::string bounds() const;  ///< "1MiB to 1GiB, a multiple of 4KiB"; empty where there are none
  std::string_view help() const noexcept { return help_; }
  const std::string& default_value() const noexcept { return default_; }
  std::string value() const;  ///< as set() reads it; "********" for a secret that is set
  bool live() const noexcept { return live_; }
  bool secret() const noexcept { return secret_; }

  /// Parses, checks the bounds and stores into the field, which stays as it was on an error.
  OptionResult set(std::string_view text);

  /// Stores a value within the bounds, each magnitude equally likely. A text stays as it is.
  void draw(Random& random);

 private:
  friend class OptionSet;
  using Load = std::uint64_t (*)(const void*);
  using Store = void (*)(void*, std::uint64_t);

  std::expected<std::uint64_t, std::string> parse(std::string_view text) const;
  std::string format(std::uint64_t count) const;
  std::unexpected<std::string> reject(std::string_view text) const;

  std::string name_, default_;
  const char* help_ = "";
  const char* form_ = "";
  void* field_ = nullptr;
  Load load_ = nullptr;
  Store store_ = nullptr;
  std::uint64_t min_ = 0, max_ = 0, multiple_of_ = 1, test_max_ = 0;
  std::vector<std::string_view> choices_;
  Kind kind_ = Kind::number;
  Unit unit_ = Unit::none;
  bool live_ = false, secret_ = false;
};

/// All options of a program or a test, in the order of their declaration. Not thread-safe. The fields must
/// outlive it.
class OptionSet {
 public:
  OptionSet() = default;
  OptionSet(const OptionSet&) = delete;
  OptionSet& operator=(const OptionSet&) = delete;

  /// Names are lower case, words joined by '-', one optional table before a '.'. Declaring a name twice, or a
  /// default outside of the bounds, is a mistake in the program: it ends with a message.
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  void add(std::string_view name, T& field, NumberSpec spec) {
    spec.max = std::min<std::uint64_t>(spec.max, std::numeric_limits<T>::max());
    add_number(name, &field, &load_as<T>, &store_as<T>, spec);
  }
  template <class Rep, class Period>
  void add(std::string_view name, std::chrono::duration<Rep, Period>& field, NumberSpec spec) {
    using T = std::chrono::duration<Rep, Period>;
    spec.unit = unit_of<Period>();
    spec.max = std::min<std::uint64_t>(spec.max, std::numeric_limits<Rep>::max());
    add_number(
        name, &field,
        [](const void* from) { return static_cast<std::uint64_t>(static_cast<const T*>(from)->count()); },
        [](void* to, std::uint64_t count) { *static_cast<T*>(to) = T(static_cast<Rep>(count)); }, spec);
  }
  template <class E>
    requires std::is_enum_v<E>
  void add(std::string_view name, E& field, ChoiceSpec spec) {
    add_choice(name, &field, &load_as<E>, &store_as<E>, std::move(spec));
  }
  void add(std::string_view name, bool& field, FlagSpec spec);
  void add(std::string_view name, std::string& field, TextSpec spec);

  /// By name ("log.segment-bytes"); nullptr where there is none.
  Option* find(std::string_view name) noexcept;

  /// What a misspelt name, as a key or a flag, may have meant; nullptr where nothing is close.
  const Option* nearest(std::string_view name) const;

  /// Option::set by name; an unknown name is an error that suggests the nearest one.
  OptionResult set(std::string_view name, std::string_view text);
  /// Sets each option whose variable `lookup` (std::getenv) knows. The error names the variable.
  OptionResult set_from_environment(char* (*lookup)(const char*));

  /// Draws every option anew, for a test; print describe_changes() beside the seed.
  void draw(Random& random);
  /// "log.segment-bytes=1MiB …": what differs from the defaults.
  std::string describe_changes() const;
  /// The reference documentation: one Markdown table for each table of options.
  std::string markdown() const;

  auto begin() noexcept { return options_.begin(); }
  auto end() noexcept { return options_.end(); }
  auto begin() const noexcept { return options_.begin(); }
  auto end() const noexcept { return options_.end(); }
  std::size_t size() const noexcept { return options_.size(); }

 private:
  template <class T>
  static std::uint64_t load_as(const void* from) {
    return static_cast<std::uint64_t>(*static_cast<const T*>(from));
  }
  template <class T>
  static void store_as(void* to, std::uint64_t value) {
    *static_cast<T*>(to) = static_cast<T>(value);
  }
  template <class Period>
  static consteval Unit unit_of() {
    if constexpr (std::same_as<Period, std::nano>)
      return Unit::nanoseconds;
    else if constexpr (std::same_as<Period, std::micro>)
      return Unit::microseconds;
    else if constexpr (std::same_as<Period, std::milli>)
      return Unit::milliseconds;
    else {
      static_assert(std::same_as<Period, std::ratio<1>>, "durations are kept in ns, us, ms or s");
      return Unit::seconds;
    }
  }

  void add_number(std::string_view name, void* field, Option::Load load, Option::Store store,
                  const NumberSpec& spec);
  void add_choice(std::string_view name, void* field, Option::Load load, Option::Store store,
                  ChoiceSpec spec);
  void declare(std::string_view name, Option option);

  std::deque<Option> options_;  // find() hands out addresses
};

}  // namespace ashlar
