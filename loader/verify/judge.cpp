// SPDX-License-Identifier: Apache-2.0
#include "loader/verify/judge.hpp"

#include <algorithm>

namespace sheath::verify {

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kEncrypted:
      return "encrypted";
    case Verdict::kPlaintext:
      return "plaintext";
    case Verdict::kUnreachable:
      return "unreachable";
  }
  return "";
}

Verdict judge(const Sightings& seen) {
  if (seen.in_clear) return Verdict::kPlaintext;
  return seen.answered && !seen.outer.empty() ? Verdict::kEncrypted : Verdict::kUnreachable;
}

Conclusion conclude(const std::vector<Finding>& findings) {
  const auto any = [&](Verdict verdict) {
    return std::ranges::any_of(
        findings, [&](const Finding& finding) { return finding.probe.required && finding.verdict == verdict; });
  };
  if (any(Verdict::kPlaintext)) return Conclusion::kPlaintext;
  return any(Verdict::kUnreachable) ? Conclusion::kNotProven : Conclusion::kProven;
}

}  // namespace sheath::verify
