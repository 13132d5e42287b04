// The commonest function words of English and Portuguese, lower case; those of one or two letters never reach the test.
#include "absl/container/flat_hash_set.h"
#include "services/analytics/terms.h"

namespace lastro::services {
namespace {

const absl::flat_hash_set<absl::string_view>& StopWords() {
  static const auto* const words = new absl::flat_hash_set<absl::string_view>{
      // English
      "about", "above", "after", "again", "against", "all", "also", "and", "any", "are", "aren", "because", "been",
      "before", "being", "below", "between", "both", "but", "can", "cannot", "could", "couldn", "did", "didn", "does",
      "doesn", "doing", "don", "down", "during", "each", "else", "ever", "every", "few", "for", "from", "further",
      "get", "had", "hadn", "has", "hasn", "have", "haven", "having", "her", "here", "hers", "herself", "him",
      "himself", "his", "how", "however", "into", "isn", "its", "itself", "just", "let", "may", "might", "more", "most",
      "must", "mustn", "myself", "nor", "not", "now", "off", "once", "one", "only", "other", "our", "ours", "ourselves",
      "out", "over", "own", "per", "same", "shall", "shan", "she", "should", "shouldn", "since", "some", "such", "than",
      "that", "the", "their", "theirs", "them", "themselves", "then", "there", "these", "they", "this", "those",
      "through", "too", "two", "under", "until", "upon", "very", "was", "wasn", "were", "weren", "what", "when",
      "where", "which", "while", "who", "whom", "why", "will", "with", "within", "without", "won", "would", "wouldn",
      "yes", "yet", "you", "your", "yours", "yourself", "yourselves",
      // Portuguese
      "ainda", "algum", "alguma", "algumas", "alguns", "ambos", "ante", "antes", "apenas", "após", "aquela", "aquelas",
      "aquele", "aqueles", "aquilo", "aqui", "assim", "até", "cada", "com", "como", "contra", "contudo", "cuja",
      "cujas", "cujo", "cujos", "das", "dela", "delas", "dele", "deles", "depois", "desde", "dessa", "dessas", "desse",
      "desses", "desta", "destas", "deste", "destes", "deve", "devem", "dos", "durante", "ela", "elas", "ele", "eles",
      "embora", "enquanto", "entre", "era", "eram", "essa", "essas", "esse", "esses", "esta", "estas", "estava",
      "estavam", "este", "estes", "está", "estão", "estar", "estou", "foi", "foram", "fosse", "ficar", "haver", "havia",
      "hão", "isso", "isto", "lhe", "lhes", "logo", "mais", "mas", "mesma", "mesmas", "mesmo", "mesmos", "meu", "meus",
      "minha", "minhas", "muita", "muitas", "muito", "muitos", "nas", "nem", "nenhum", "nenhuma", "nessa", "nessas",
      "nesse", "nesses", "nesta", "nestas", "neste", "nestes", "nos", "nossa", "nossas", "nosso", "nossos", "não",
      "nós", "num", "numa", "onde", "ora", "ou", "outra", "outras", "outro", "outros", "para", "pela", "pelas", "pelo",
      "pelos", "perante", "pode", "podem", "pois", "por", "porque", "porém", "portanto", "pouca", "poucas", "pouco",
      "poucos", "quais", "qual", "qualquer", "quando", "quanto", "que", "quem", "quer", "são", "segundo", "seja",
      "sejam", "sem", "sempre", "sendo", "ser", "será", "serão", "seu", "seus", "sido", "sob", "sobre", "sua", "suas",
      "tal", "também", "tanto", "tem", "têm", "tendo", "tenha", "ter", "teu", "tinha", "toda", "todas", "todavia",
      "todo", "todos", "tua", "uma", "umas", "uns", "vez", "vos", "vossa", "vosso", "você", "vocês", "àquela",
      "àquele"};
  return *words;
}

}  // namespace

bool IsStopWord(absl::string_view lower_case_word) { return StopWords().contains(lower_case_word); }

}  // namespace lastro::services
