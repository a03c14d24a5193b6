#include <algorithm>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "ashlar/app/doctor.h"
#include "ashlar/app/json.h"

namespace ashlar::app {
namespace {

using State = Finding::State;

constexpr std::size_t subject_columns = 26;

const char* to_string(State state) {
  switch (state) {
    case State::ok: return "ok";
    case State::better: return "better";
    case State::problem: return "PROBLEM";
  }
  return "?";
}

void add(std::string& text, const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    text += fmt::format("  {:<7}  {:<{}}  {}\n", to_string(finding.state), finding.subject, subject_columns,
                        finding.detail);
    if (!finding.why.empty())
      text += fmt::format("  {:<7}  {:>{}}  {}\n", "", "why", subject_columns, finding.why);
    if (!finding.command.empty())
      text += fmt::format("  {:<7}  {:>{}}  {}\n", "", "do", subject_columns, finding.command);
  }
}

struct Line {
  const char* label = "";
  std::string text;
};

/// Why a step is as it is. A remedy that was printed above is not printed again.
std::vector<Line> explain(const LadderStep& step, std::set<std::string>& printed) {
  const bool absent = step.state == LadderStep::State::not_built;
  if (!absent && step.state != LadderStep::State::would_work) return {{"", step.reason()}};
  std::vector<Line> lines;
  if (absent) lines.push_back({"", fmt::format("this build has no {}:", step.rung->kind)});
  for (const Need& need : step.verdict.needs) {
    const bool again = !printed.insert(need.lacks).second;
    lines.push_back({"", need.lacks + (again ? " (as above)" : "")});
    if (!again) lines.push_back({"do", need.remedy});
  }
  return lines;
}

void add(std::string& text, const Ladder& ladder) {
  std::set<std::string> printed;
  text += fmt::format("\n  for={}, fastest first\n", goal_names[static_cast<std::size_t>(ladder.goal)]);
  for (std::size_t i = 0; i < ladder.steps.size(); ++i) {
    const LadderStep& step = ladder.steps[i];
    text += fmt::format("  {:>2}  {:<10}  {:<38}", i == ladder.chosen ? "->" : "",
                        ashlar::to_string(step.state), step.rung->name);
    std::string indent;
    for (const Line& line : explain(step, printed)) {
      text += fmt::format("{}{:>4}  {}\n", indent, line.label, line.text);
      indent = std::string(56, ' ');
    }
  }
  if (ladder.chosen < ladder.steps.size())
    text += fmt::format("\n  auto: takes {}\n", ladder.steps[ladder.chosen].spec);
}

Json as_json(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings) {
    Json one = {
        {"subject", finding.subject}, {"state", to_string(finding.state)}, {"detail", finding.detail}};
    if (finding.state == State::problem) one["state"] = "problem";
    if (!finding.why.empty()) one["why"] = finding.why;
    if (!finding.command.empty()) one["command"] = finding.command;
    list.push_back(std::move(one));
  }
  return list;
}

Json as_json(const Ladder& ladder) {
  Json rungs = Json::array();
  for (const LadderStep& step : ladder.steps) {
    Json needs = Json::array();
    for (const Need& need : step.verdict.needs)
      needs.push_back({{"lacks", need.lacks}, {"command", need.remedy}});
    rungs.push_back({{"name", step.rung->name},
                     {"spec", step.spec},
                     {"state", ashlar::to_string(step.state)},
                     {"reason", step.reason()},
                     {"facts", step.verdict.facts},
                     {"needs", std::move(needs)}});
  }
  const bool found = ladder.chosen < ladder.steps.size();
  return {{"path", ladder.path},
          {"for", goal_names[static_cast<std::size_t>(ladder.goal)]},
          {"chosen", found ? Json(ladder.steps[ladder.chosen].spec) : Json()},
          {"rungs", std::move(rungs)}};
}

bool without_problem(const std::vector<Finding>& findings) {
  return std::ranges::none_of(findings, [](const Finding& one) { return one.state == State::problem; });
}

}  // namespace

bool Diagnosis::works() const noexcept {
  return std::ranges::all_of(targets, [](const Examined& target) {
    return without_problem(target.findings) && (!target.ladder || target.ladder->chosen != Ladder::none);
  });
}

std::string report_text(const Diagnosis& diagnosis) {
  std::string text = "machine\n";
  add(text, diagnosis.machine);
  text += "\nio_uring\n";
  add(text, diagnosis.uring);
  for (const Examined& target : diagnosis.targets) {
    text += fmt::format("\n{}\n", target.name);
    add(text, target.findings);
    if (target.ladder) add(text, *target.ladder);
  }
  return text;
}

// A path may hold any bytes: what is no UTF-8 is replaced.
std::string report_json(const Diagnosis& diagnosis) {
  Json targets = Json::array();
  for (const Examined& target : diagnosis.targets) {
    Json one = {{"target", target.name}, {"findings", as_json(target.findings)}};
    if (target.ladder) one["ladder"] = as_json(*target.ladder);
    targets.push_back(std::move(one));
  }
  const Json all = {{"works", diagnosis.works()},
                    {"machine", as_json(diagnosis.machine)},
                    {"io_uring", as_json(diagnosis.uring)},
                    {"targets", std::move(targets)}};
  return all.text();
}

}  // namespace ashlar::app
