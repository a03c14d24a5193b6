#include "ashlar/kv/merge_operator.h"

#include <algorithm>

#include "ashlar/base/endian.h"

namespace ashlar::kv {

namespace {

void append(std::vector<std::byte>& to, Bytes bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

class Append final : public MergeOperator {
 public:
  Append(std::string name, std::string separator)
      : name_(std::move(name)), separator_(std::move(separator)) {}
  std::string_view name() const noexcept override { return name_; }
  Result<> merge(Bytes, std::optional<Bytes> base, std::span<const Bytes> operands,
                 std::vector<std::byte>& result) const override {
    if (base) ashlar::kv::append(result, *base);
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (base || i != 0) ashlar::kv::append(result, as_bytes(separator_));
      ashlar::kv::append(result, operands[i]);
    }
    return {};
  }
  bool combine(Bytes, Bytes older, Bytes newer, std::vector<std::byte>& result) const override {
    ashlar::kv::append(result, older);
    ashlar::kv::append(result, as_bytes(separator_));
    ashlar::kv::append(result, newer);
    return true;
  }

 private:
  std::string name_, separator_;
};

/// An operator that makes one of any two, in any grouping: base and operands are of one kind.
template <class Fold>
class Associative final : public MergeOperator {
 public:
  Associative(std::string name, Fold fold) : name_(std::move(name)), fold_(fold) {}
  std::string_view name() const noexcept override { return name_; }
  Result<> merge(Bytes, std::optional<Bytes> base, std::span<const Bytes> operands,
                 std::vector<std::byte>& result) const override {
    const Bytes first = base ? *base : operands.front();
    result.assign(first.begin(), first.end());
    std::vector<std::byte> next;
    if (!fold_(first, first, next)) return fail(Errc::invalid, "merge");  // alone, it must be well-formed too
    for (const Bytes operand : operands.subspan(base ? 0 : 1)) {
      next.clear();
      if (!fold_(result, operand, next)) return fail(Errc::invalid, "merge");
      result.swap(next);
    }
    return {};
  }
  bool combine(Bytes, Bytes older, Bytes newer, std::vector<std::byte>& result) const override {
    return fold_(older, newer, result);
  }

 private:
  std::string name_;
  Fold fold_;
};

template <class Choose>
auto numbers(Choose choose) {
  return [choose](Bytes older, Bytes newer, std::vector<std::byte>& result) {
    if (older.size() != 8 || newer.size() != 8) return false;
    result.resize(8);
    store_le(result.data(),
             choose(load_le<std::uint64_t>(older.data()), load_le<std::uint64_t>(newer.data())));
    return true;
  };
}

template <class Better>
auto strings(Better better) {
  return [better](Bytes older, Bytes newer, std::vector<std::byte>& result) {
    const Bytes chosen = better(compare(newer, older)) ? newer : older;
    result.assign(chosen.begin(), chosen.end());
    return true;
  };
}

template <class Fold>
std::unique_ptr<MergeOperator> associative(const char* name, Fold fold) {
  return std::make_unique<Associative<Fold>>(name, fold);
}

constexpr std::string_view append_with = "append:";

}  // namespace

MergeOperators::MergeOperators() {
  const auto larger = [](std::uint64_t a, std::uint64_t b) {
    return static_cast<std::int64_t>(a) < static_cast<std::int64_t>(b) ? b : a;
  };
  const auto smaller = [](std::uint64_t a, std::uint64_t b) {
    return static_cast<std::int64_t>(b) < static_cast<std::int64_t>(a) ? b : a;
  };
  operators_.push_back(std::make_unique<Append>("append", ""));
  operators_.push_back(associative("add64", numbers([](std::uint64_t a, std::uint64_t b) { return a + b; })));
  operators_.push_back(associative("max64", numbers(larger)));
  operators_.push_back(associative("min64", numbers(smaller)));
  operators_.push_back(associative("max", strings([](int order) { return order > 0; })));
  operators_.push_back(associative("min", strings([](int order) { return order < 0; })));
  for (const char* separator : {",", ";", " ", "\n", "|", ":", "\t"}) {
    operators_.push_back(std::make_unique<Append>(std::string(append_with) + separator, separator));
  }
}

Result<> MergeOperators::add(std::unique_ptr<MergeOperator> merge_operator) {
  if (find(merge_operator->name()) != nullptr) return fail(Errc::exists, "merge operator");
  operators_.push_back(std::move(merge_operator));
  return {};
}

const MergeOperator* MergeOperators::find(std::string_view name) const noexcept {
  const auto found =
      std::ranges::find_if(operators_, [&](const auto& known) { return known->name() == name; });
  return found == operators_.end() ? nullptr : found->get();
}

}  // namespace ashlar::kv
