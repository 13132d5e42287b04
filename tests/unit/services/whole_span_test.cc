#include "services/answer/whole_span.h"

#include <string>

#include "tests/test_util.h"

namespace lastro::services::answer {
namespace {

TEST(WholeSpan, TakesInWhatItCuts) {
  // The span that was read stands between brackets; what it becomes, behind.
  for (const auto& [marked, whole] : std::vector<std::pair<std::string, std::string>>{
           {"a renda é de [950],00 € por mês", "950,00 €"},
           {"Mestre | [1 480],00 € | 150 €", "1 480,00 €"},
           {"ganha [1] 480 €.", "1 480 €"},
           {"ganha [1]\u00a0480\u00a0€.", "1\u00a0480\u00a0€"},
           {"custa 1.250,[00] € hoje", "1.250,00 €"},
           {"it costs $ [48],000; more", "$ 48,000"},
           {"custa R$ [12] hoje", "R$ 12"},
           {"não passa de [4] °C.", "4 °C"},
           {"[15] % de desconto", "15 %"},
           {"at [10]:30 o'clock", "10:30"},
           {"[950 € (novecentos] ), ou", "950 € (novecentos"},
           {"[950 € (novecentos euros]), ou", "950 € (novecentos euros)"},
           {"(the [chair (of the board]))", "chair (of the board)"},
           {"to help-[desk@example].org, or", "help-desk@example.org"},
           {"a@b.pt, help@[example.org].", "help@example.org"},
           {"see (https://[example.org]/a?b=1)", "https://example.org/a?b=1"},
           {"open config.[yaml]; then", "config.yaml"},
           // Nothing to take in.
           {"[28 knots]. 30 miles", "28 knots"},
           {"in [2024] 100 were sold", "2024"},
           {"room [12] 3000 seats", "12"},
           {"IBAN PT[50] 003 x", "50"},
           {"rule [3]. 500 more", "3"},
           {"rule [3]\n€ 5", "3"},
           {"([chair]) of it", "chair"},
           {"born in [Porto].He left", "Porto"},
           {"by [Lisbon]'s mayor, e.g. him", "Lisbon"},
           {"[a@b.pt], c@d.pt", "a@b.pt"},
           {"[3]", "3"},
           {"a [€] 5", "€"}}) {
    const size_t begin = marked.find('['), end = marked.find(']') - 1;
    std::string text = marked;
    text.erase(text.find(']'), 1).erase(begin, 1);
    const TextRange range = WholeSpan(text, {begin, end});
    EXPECT_EQ(text.substr(range.begin, range.end - range.begin), whole) << marked;
  }
}

}  // namespace
}  // namespace lastro::services::answer
