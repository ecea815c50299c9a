package standin;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.CharArraySet;
import org.apache.lucene.analysis.LowerCaseFilter;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.core.KeywordTokenizer;
import org.apache.lucene.analysis.core.WhitespaceTokenizer;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.analysis.en.EnglishMinimalStemFilter;
import org.apache.lucene.analysis.en.EnglishPossessiveFilter;
import org.apache.lucene.analysis.en.KStemFilter;
import org.apache.lucene.analysis.en.PorterStemFilter;
import org.apache.lucene.analysis.miscellaneous.ASCIIFoldingFilter;
import org.apache.lucene.analysis.snowball.SnowballFilter;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.index.IndexVersion;
import org.elasticsearch.index.analysis.AnalyzerProvider;
import org.elasticsearch.index.analysis.AnalyzerScope;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.RestChannel;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;

/**
 * Stands in for two modules that are bundled with Elasticsearch but not published: rest-root (`GET /`) and what
 * English text search needs of analysis-common. The Lucene classes are those Elasticsearch uses, so tokens are equal.
 *
 * REST_HANDLER_PARAMETERS is replaced when this is compiled: the list differs between 8.19 and 9.x.
 */
public final class StandInPlugin extends Plugin implements ActionPlugin, AnalysisPlugin {
    private ClusterService cluster;

    @Override
    public Collection<?> createComponents(PluginServices services) {
        cluster = services.clusterService();
        return List.of();
    }

    @Override
    public Collection<RestHandler> getRestHandlers(/*REST_HANDLER_PARAMETERS*/) {
        return List.of(new RootHandler());
    }

    private final class RootHandler implements RestHandler {
        @Override
        public List<Route> routes() {
            return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
        }

        @Override
        public void handleRequest(RestRequest request, RestChannel channel, NodeClient client) throws Exception {
            Build build = Build.current();
            var body = channel.newBuilder().prettyPrint().startObject();
            body.field("name", cluster.getNodeName());
            body.field("cluster_name", cluster.getClusterName().value());
            body.field("cluster_uuid", cluster.state().metadata().clusterUUID());
            body.startObject("version");
            body.field("number", build.qualifiedVersion());
            body.field("build_flavor", build.flavor());
            body.field("build_type", build.type().displayName());
            body.field("build_hash", build.hash());
            body.field("build_date", build.date());
            body.field("build_snapshot", build.isSnapshot());
            body.field("lucene_version", IndexVersion.current().luceneVersion().toString());
            body.field("minimum_wire_compatibility_version", build.minWireCompatVersion());
            body.field("minimum_index_compatibility_version", build.minIndexCompatVersion());
            body.endObject();
            body.field("tagline", "You Know, for Search");
            body.endObject();
            channel.sendResponse(new RestResponse(RestStatus.OK, body));
        }
    }

    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        Map<String, AnalysisProvider<TokenFilterFactory>> filters = new TreeMap<>();
        plain(filters, "lowercase", LowerCaseFilter::new);
        plain(filters, "porter_stem", PorterStemFilter::new);
        plain(filters, "kstem", KStemFilter::new);
        plain(filters, "asciifolding", ASCIIFoldingFilter::new);
        filters.put("snowball", (index, environment, name, settings) -> {
            String language = text(settings, "language", "English");
            return filter(name, input -> new SnowballFilter(input, language));
        });
        filters.put("stemmer", (index, environment, name, settings) ->
            filter(name, stemmer(text(settings, "language", text(settings, "name", "english")))));
        return filters;
    }

    private static UnaryOperator<TokenStream> stemmer(String language) {
        return switch (language) {
            case "english", "porter" -> PorterStemFilter::new;
            case "light_english", "kstem" -> KStemFilter::new;
            case "possessive_english" -> EnglishPossessiveFilter::new;
            case "minimal_english" -> EnglishMinimalStemFilter::new;
            default -> throw new IllegalArgumentException("stemmer language [" + language + "] is not in this stand-in");
        };
    }

    private static String text(Settings settings, String key, String otherwise) {
        return settings == null ? otherwise : settings.get(key, otherwise);
    }

    private static void plain(Map<String, AnalysisProvider<TokenFilterFactory>> filters, String key, UnaryOperator<TokenStream> make) {
        filters.put(key, (index, environment, name, settings) -> filter(name, make));
    }

    private static TokenFilterFactory filter(String name, UnaryOperator<TokenStream> make) {
        return new TokenFilterFactory() {
            @Override
            public String name() {
                return name;
            }

            @Override
            public TokenStream create(TokenStream input) {
                return make.apply(input);
            }
        };
    }

    @Override
    public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
        return Map.of(
            "whitespace", (index, environment, name, settings) -> TokenizerFactory.newFactory(name, WhitespaceTokenizer::new),
            "keyword", (index, environment, name, settings) -> TokenizerFactory.newFactory(name, KeywordTokenizer::new));
    }

    @Override
    public Map<String, AnalysisProvider<AnalyzerProvider<? extends Analyzer>>> getAnalyzers() {
        return Map.of("english", (index, environment, name, settings) -> {
            List<String> stopwords = settings == null ? List.of() : settings.getAsList("stopwords", List.of());
            Analyzer analyzer = new EnglishAnalyzer(stopSet(stopwords));
            AnalyzerScope scope = index == null ? AnalyzerScope.GLOBAL : AnalyzerScope.INDEX;
            return new AnalyzerProvider<Analyzer>() {
                @Override
                public String name() {
                    return name;
                }

                @Override
                public AnalyzerScope scope() {
                    return scope;
                }

                @Override
                public Analyzer get() {
                    return analyzer;
                }
            };
        });
    }

    private static CharArraySet stopSet(List<String> words) {
        if (words.isEmpty() || words.equals(List.of("_english_"))) {
            return EnglishAnalyzer.getDefaultStopSet();
        }
        return words.equals(List.of("_none_")) ? CharArraySet.EMPTY_SET : new CharArraySet(new ArrayList<>(words), false);
    }
}
