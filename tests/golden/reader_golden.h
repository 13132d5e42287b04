// The goldens of readers: questions, passages, contexts and what the reference reads in them (export_families.py).
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/reader.h"
#include "tests/golden/golden_util.h"

namespace lastro::testing {

class GoldenReadings {
 public:
  explicit GoldenReadings(const std::string& name) {
    auto document = JsonDocument::ParseFile(GoldenPath(name) + "/pairs.json");
    auto file = engine::SafetensorsFile::Open(GoldenPath(name) + "/expected.safetensors");
    EXPECT_TRUE(document.ok() && file.ok()) << document.status() << file.status();
    if (!document.ok() || !file.ok()) return;
    const std::vector<JsonValue> items = *document->root().AsArray();
    for (const JsonValue& item : items) {
      const std::vector<JsonValue> texts = *item.AsArray();
      questions_.push_back(std::string(*texts[0].AsString()));
      passages_.push_back(std::string(*texts[1].AsString()));
      contexts_.push_back(texts.size() > 2 ? std::string(*texts[2].AsString()) : "");
    }
    expected_ = ReadGolden(*file, "readings").floats;
  }

  std::vector<engine::ReadPair> pairs() const {
    std::vector<engine::ReadPair> pairs;
    for (size_t i = 0; i < questions_.size(); ++i) pairs.push_back({questions_[i], passages_[i], contexts_[i]});
    return pairs;
  }

  // Of readings with two spans; one that is missing or lies elsewhere counts as infinite.
  double LargestDifference(const std::vector<engine::Reading>& readings) const {
    if (readings.size() != questions_.size() || expected_.size() != kColumns * readings.size()) return INFINITY;
    double largest = 0;
    for (size_t i = 0; i < readings.size(); ++i) {
      const engine::Reading& reading = readings[i];
      const float* row = expected_.data() + i * kColumns;
      largest = std::max({largest, Difference(reading.relevance, row[0]), Difference(reading.probability, row[1]),
                          Difference(reading.answerability, row[4])});
      for (size_t k = 0; k < 2; ++k) {
        const float* span = row + 2 + 3 * k;
        if (std::isnan(span[0]) != (k >= reading.spans.size())) return INFINITY;
        if (k >= reading.spans.size()) continue;
        const engine::ReadSpan& found = reading.spans[k];
        if (static_cast<float>(found.begin) != span[0] || static_cast<float>(found.end) != span[1]) return INFINITY;
        largest = std::max(largest, Difference(found.score, span[2]));
      }
    }
    return largest;
  }

 private:
  static constexpr size_t kColumns = 8;  // relevance, probability, begin, end and score of two spans
  // Infinite where one is not a number, so that no comparison overlooks it.
  static double Difference(double a, double b) { return std::isnan(a - b) ? INFINITY : std::abs(a - b); }

  std::vector<std::string> questions_, passages_, contexts_;
  std::vector<float> expected_;
};

}  // namespace lastro::testing
