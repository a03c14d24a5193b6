#include "ashlar/base/options.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "ashlar/base/units.h"

namespace ashlar {
namespace {

constexpr bool is_duration(Unit unit) {
  return unit >= Unit::nanoseconds;
}

constexpr std::uint64_t nanoseconds_of(Unit unit) {
  switch (unit) {
    case Unit::microseconds: return 1'000;
    case Unit::milliseconds: return 1'000'000;
    case Unit::seconds: return 1'000'000'000;
    default: return 1;
  }
}

[[noreturn]] void declaration_mistake(std::string_view name, std::string_view what) {
  fmt::print(stderr, "option {}: {}\n", name, what);
  std::abort();
}

bool well_formed(std::string_view name) {
  char before = '.';
  for (const char c : name) {
    const bool separator = c == '.' || c == '-';
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!word && !(separator && before != '.' && before != '-')) return false;
    before = c;
  }
  return before != '.' && before != '-' && std::count(name.begin(), name.end(), '.') <= 1;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string Option::flag() const {
  std::string result = "--" + name_;
  std::replace(result.begin(), result.end(), '.', '-');
  return result;
}

std::string Option::environment_variable() const {
  std::string result = "ASHLAR_";
  for (const char c : name_)
    result += c == '.' || c == '-' ? '_' : static_cast<char>(c >= 'a' ? c - 'a' + 'A' : c);
  return result;
}

std::string Option::form() const {
  switch (kind_) {
    case Kind::flag: return "true|false";
    case Kind::choice: return fmt::format("{}", fmt::join(choices_, "|"));
    case Kind::text: return form_;
    case Kind::number: break;
  }
  if (unit_ == Unit::bytes) return "SIZE";
  if (unit_ == Unit::percent) return "PERCENT";
  return is_duration(unit_) ? "DURATION" : "NUMBER";
}

std::string Option::bounds() const {
  if (kind_ != Kind::number) return {};
  std::string result;
  const bool bounded_above = max_ < std::uint64_t{1}
                                        << 62;  // what nobody means as a bound is not shown as one
  if (bounded_above)
    result = fmt::format("{} to {}", format(min_), format(max_));
  else if (min_ != 0)
    result = fmt::format("at least {}", format(min_));
  if (multiple_of_ != 1)
    result += fmt::format("{}a multiple of {}", result.empty() ? "" : ", ", format(multiple_of_));
  return result;
}

std::string Option::format(std::uint64_t count) const {
  if (kind_ == Kind::flag) return count != 0 ? "true" : "false";
  if (kind_ == Kind::choice) return std::string(choices_[count]);
  if (unit_ == Unit::bytes) return format_bytes(count);
  if (unit_ == Unit::percent) return fmt::format("{}%", count);
  if (!is_duration(unit_)) return fmt::to_string(count);
  std::uint64_t nanoseconds = 0;
  if (__builtin_mul_overflow(count, nanoseconds_of(unit_), &nanoseconds)) nanoseconds = ~std::uint64_t{0};
  return format_duration(std::chrono::nanoseconds(nanoseconds));
}

std::string Option::value() const {
  if (kind_ != Kind::text) return format(load_(field_));
  const std::string& text = *static_cast<const std::string*>(field_);
  return secret_ && !text.empty() ? "********" : text;
}

std::unexpected<std::string> Option::reject(std::string_view text) const {
  const std::string right = bounds();
  return std::unexpected(fmt::format("{}: '{}' is not {} {}{}{}", name_, secret_ ? "********" : text,
                                     kind_ == Kind::choice || kind_ == Kind::flag ? "one of" : "a", form(),
                                     right.empty() ? "" : " of ", right));
}

std::expected<std::uint64_t, std::string> Option::parse(std::string_view text) const {
  if (kind_ == Kind::flag) {
    for (const std::string_view yes : {"true", "yes", "on", "1"})
      if (text == yes) return 1;
    for (const std::string_view no : {"false", "no", "off", "0"})
      if (text == no) return 0;
    return reject(text);
  }
  if (kind_ == Kind::choice) {
    const auto found = std::find(choices_.begin(), choices_.end(), text);
    if (found == choices_.end()) return reject(text);
    return static_cast<std::uint64_t>(found - choices_.begin());
  }
  std::uint64_t count = 0;
  if (unit_ == Unit::bytes) {
    const auto bytes = parse_bytes(text);
    if (!bytes) return reject(text);
    count = *bytes;
  } else if (is_duration(unit_)) {
    const auto duration = parse_duration(text);
    if (!duration || static_cast<std::uint64_t>(duration->count()) % nanoseconds_of(unit_) != 0)
      return reject(text);
    count = static_cast<std::uint64_t>(duration->count()) / nanoseconds_of(unit_);
  } else {
    std::string_view digits = text;
    if (unit_ == Unit::percent && digits.ends_with('%')) digits.remove_suffix(1);
    const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    if (error != std::errc{} || rest != digits.data() + digits.size()) return reject(text);
  }
  if (count < min_ || count > max_ || count % multiple_of_ != 0) return reject(text);
  return count;
}

OptionResult Option::set(std::string_view text) {
  if (kind_ == Kind::text) {
    if (text.size() > max_) return std::unexpected(fmt::format("{}: longer than {} bytes", name_, max_));
    static_cast<std::string*>(field_)->assign(text);
    return {};
  }
  const auto count = parse(text);
  if (!count) return std::unexpected(count.error());
  store_(field_, *count);
  return {};
}

void Option::draw(Random& random) {
  if (kind_ == Kind::text) return;
  const std::uint64_t highest = test_max_ != 0 ? test_max_ : max_;
  store_(field_,
         multiple_of_ * random.skewed((min_ + multiple_of_ - 1) / multiple_of_, highest / multiple_of_));
}

void OptionSet::declare(std::string_view name, Option option) {
  if (!well_formed(name)) declaration_mistake(name, "malformed name");
  option.name_ = name;
  for (const Option& other : options_)
    if (other.environment_variable() == option.environment_variable())
      declaration_mistake(name, "declared twice");
  // The default must be one that the user could write.
  option.default_ =
      option.kind_ == Option::Kind::choice && option.load_(option.field_) >= option.choices_.size()
          ? "?"
          : option.value();
  if (const OptionResult valid =
          option.kind_ == Option::Kind::text ? OptionResult() : option.set(option.default_);
      !valid)
    declaration_mistake(name, "default is out of bounds: " + valid.error());
  options_.push_back(std::move(option));
}

void OptionSet::add_number(std::string_view name, void* field, Option::Load load, Option::Store store,
                           const NumberSpec& spec) {
  if (spec.min > spec.max || spec.multiple_of == 0 || (spec.test_max != 0 && spec.test_max < spec.min))
    declaration_mistake(name, "contradictory bounds");
  Option option;
  option.help_ = spec.help;
  option.field_ = field;
  option.load_ = load;
  option.store_ = store;
  option.min_ = spec.min;
  option.max_ = spec.max;
  option.multiple_of_ = spec.multiple_of;
  option.test_max_ = spec.test_max;
  option.unit_ = spec.unit;
  option.live_ = spec.live;
  declare(name, std::move(option));
}

void OptionSet::add_choice(std::string_view name, void* field, Option::Load load, Option::Store store,
                           ChoiceSpec spec) {
  Option option;
  option.kind_ = Option::Kind::choice;
  option.help_ = spec.help;
  option.field_ = field;
  option.load_ = load;
  option.store_ = store;
  option.max_ = spec.names.size() - 1;
  option.choices_ = std::move(spec.names);
  option.live_ = spec.live;
  declare(name, std::move(option));
}

void OptionSet::add(std::string_view name, bool& field, FlagSpec spec) {
  Option option;
  option.kind_ = Option::Kind::flag;
  option.help_ = spec.help;
  option.field_ = &field;
  option.load_ = &load_as<bool>;
  option.store_ = &store_as<bool>;
  option.max_ = 1;
  option.live_ = spec.live;
  declare(name, std::move(option));
}

void OptionSet::add(std::string_view name, std::string& field, TextSpec spec) {
  Option option;
  option.kind_ = Option::Kind::text;
  option.help_ = spec.help;
  option.form_ = spec.form;
  option.field_ = &field;
  option.max_ = spec.max_size;
  option.live_ = spec.live;
  option.secret_ = spec.secret;
  declare(name, std::move(option));
}

Option* OptionSet::find(std::string_view name) noexcept {
  for (Option& option : options_)
    if (option.name() == name) return &option;
  return nullptr;
}

const Option* OptionSet::nearest(std::string_view name) const {
  std::string flag = name.starts_with("--") ? std::string(name) : fmt::format("--{}", name);
  std::replace(flag.begin(), flag.end(), '.', '-');
  const Option* result = nullptr;
  std::size_t distance = 4;  // farther than that is no misspelling
  for (const Option& option : options_) {
    const std::size_t edits = edit_distance(flag, option.flag());
    if (edits < distance) {
      distance = edits;
      result = &option;
    }
  }
  return result;
}

OptionResult OptionSet::set(std::string_view name, std::string_view text) {
  if (Option* option = find(name)) return option->set(text);
  const Option* const meant = nearest(name);
  return std::unexpected(meant == nullptr
                             ? fmt::format("unknown option '{}'", name)
                             : fmt::format("unknown option '{}', did you mean '{}'?", name, meant->name()));
}

OptionResult OptionSet::set_from_environment(char* (*lookup)(const char*)) {
  for (Option& option : options_) {
    const std::string variable = option.environment_variable();
    const char* const text = lookup(variable.c_str());
    if (text == nullptr) continue;
    if (const OptionResult result = option.set(text); !result)
      return std::unexpected(fmt::format("environment variable {}: {}", variable, result.error()));
  }
  return {};
}

void OptionSet::draw(Random& random) {
  for (Option& option : options_) option.draw(random);
}

std::string OptionSet::describe_changes() const {
  std::string result;
  for (const Option& option : options_)
    if (option.value() != option.default_value())
      result += fmt::format("{}{}={}", result.empty() ? "" : " ", option.name(), option.value());
  return result;
}

std::string OptionSet::markdown() const {
  std::string result;
  std::string_view table = "?";
  for (const Option& option : options_) {
    const std::string_view name = option.name();
    const std::size_t dot = name.find('.');
    const std::string_view own_table =
        dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
    if (own_table != table) {
      table = own_table;
      result +=
          fmt::format("\n## {}\n\n| TOML key | flag | default | values | meaning |\n|---|---|---|---|---|\n",
                      table.empty() ? "Top level" : fmt::format("[{}]", table));
    }
    std::string values = option.form();
    if (const std::string bounds = option.bounds(); !bounds.empty()) values += ", " + bounds;
    for (std::size_t at = 0; (at = values.find('|', at)) != std::string::npos; at += 2)
      values.insert(at, 1, '\\');
    result += fmt::format("| `{}` | `{}` | {} | {} | {}{} |\n",
                          name.substr(dot == std::string_view::npos ? 0 : dot + 1), option.flag(),
                          option.default_value().empty() ? "" : fmt::format("`{}`", option.default_value()),
                          values, option.help(), option.live() ? " (live)" : "");
  }
  return result;
}

}  // namespace ashlar
