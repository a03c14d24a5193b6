#pragma once

/// A merge operator of the program, as the engine calls it.

#include <memory>
#include <utility>

#include "ashlar/embed/merge_operator.h"
#include "ashlar/kv/merge_operator.h"

namespace ashlar::embed {

/// Thread safety and lifecycle as kv::MergeOperator says.
class ProgramOperator final : public kv::MergeOperator {
 public:
  explicit ProgramOperator(std::shared_ptr<const ashlar::MergeOperator> program) noexcept
      : program_(std::move(program)) {}

  std::string_view name() const noexcept override { return program_->name(); }

  Result<> merge(Bytes user_key, std::optional<Bytes> base, std::span<const Bytes> operands,
                 std::vector<std::byte>& result) const override {
    std::vector<std::string_view> texts;
    texts.reserve(operands.size());
    for (const Bytes operand : operands) texts.push_back(as_text(operand));
    std::string merged;
    TRY(program_->merge(as_text(user_key), base ? std::optional(as_text(*base)) : std::nullopt, texts,
                        merged));
    assign(result, merged);
    return {};
  }
  bool combine(Bytes user_key, Bytes older, Bytes newer, std::vector<std::byte>& result) const override {
    std::string combined;
    if (!program_->combine(as_text(user_key), as_text(older), as_text(newer), combined)) return false;
    assign(result, combined);
    return true;
  }

 private:
  static void assign(std::vector<std::byte>& to, std::string_view text) {
    const Bytes bytes = as_bytes(text);
    to.assign(bytes.begin(), bytes.end());
  }

  const std::shared_ptr<const ashlar::MergeOperator> program_;
};

}  // namespace ashlar::embed
