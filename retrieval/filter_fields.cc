#include "retrieval/filter_fields.h"

#include <algorithm>
#include <optional>

namespace lastro::retrieval {
namespace {

constexpr absl::string_view kBuiltIn[] = {"uri",    "title",     "media_type",  "language",
                                          "origin", kLabelField, "modified_at", "ingested_at"};

MetadataList TimeIfKnown(absl::Time time) {
  return time == absl::Time() ? MetadataList() : MetadataList{MetadataScalar(time)};
}

MetadataList Labels(const Document& document) {
  if (document.labels.empty()) return {std::string()};
  return MetadataList(document.labels.begin(), document.labels.end());
}

std::optional<MetadataList> BuiltIn(const Document& document, absl::string_view field) {
  if (field == "uri") return MetadataList{document.uri};
  if (field == "title") return MetadataList{document.title};
  if (field == "media_type") return MetadataList{document.media_type};
  if (field == "language") return MetadataList{std::string(LanguageCode(document.language))};
  if (field == "origin") return MetadataList{document.origin};
  if (field == kLabelField) return Labels(document);
  if (field == "modified_at") return TimeIfKnown(document.modified_at);
  if (field == "ingested_at") return TimeIfKnown(document.ingested_at);
  return std::nullopt;
}

MetadataList ValuesOf(const MetadataValue& value) {
  const auto* list = std::get_if<MetadataList>(&value);
  MetadataList values;
  if (list != nullptr) {
    values = *list;
  } else {
    std::visit(
        [&](const auto& scalar) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(scalar)>, MetadataList>) values.emplace_back(scalar);
        },
        value);
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

}  // namespace

absl::string_view LanguageCode(Language language) {
  switch (language) {
    case Language::kEnglish:
      return "en";
    case Language::kPortuguese:
      return "pt";
    default:
      return "";
  }
}

std::map<std::string, MetadataList> FieldsOf(const Document& document) {
  std::map<std::string, MetadataList> fields;
  for (const auto& [key, value] : document.metadata) fields[key] = ValuesOf(value);
  for (absl::string_view name : kBuiltIn) fields[std::string(name)] = *BuiltIn(document, name);
  return fields;
}

MetadataList FieldOf(const Document& document, const std::string& field) {
  if (std::optional<MetadataList> values = BuiltIn(document, field)) return *std::move(values);
  auto found = document.metadata.find(field);
  return found == document.metadata.end() ? MetadataList() : ValuesOf(found->second);
}

}  // namespace lastro::retrieval
