import co.elastic.clients.elasticsearch._types.ElasticsearchException;
import co.elastic.clients.elasticsearch._types.ErrorResponse;
import co.elastic.clients.elasticsearch._types.aggregations.StringTermsBucket;
import co.elastic.clients.elasticsearch.core.BulkResponse;
import co.elastic.clients.elasticsearch.core.SearchResponse;
import co.elastic.clients.elasticsearch.core.bulk.BulkResponseItem;
import co.elastic.clients.elasticsearch.core.msearch.MultiSearchResponseItem;
import co.elastic.clients.elasticsearch.core.search.Hit;
import co.elastic.clients.elasticsearch.core.search.HitsMetadata;
import co.elastic.clients.elasticsearch.core.search.TermSuggestOption;
import co.elastic.clients.json.jackson.JacksonJsonpMapper;
import co.elastic.clients.transport.rest5_client.low_level.ResponseException;
import java.io.IOException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** What is to be seen of answers and errors. */
final class Seen {
    private Seen() {}

    /** A call that may fail. */
    interface Call {
        void run() throws IOException;
    }

    static Map<String, Object> page(String outcome, SearchResponse<Article> answer) {
        var total = answer.hits().total();
        var seen = new LinkedHashMap<String, Object>();
        seen.put("outcome", outcome);
        seen.put("total", Map.of("value", total.value(), "relation", total.relation().jsonValue()));
        seen.put("max_score", answer.hits().maxScore());
        seen.put("hits", answer.hits().hits().stream().map(Seen::hit).toList());
        return seen;
    }

    private static Map<String, Object> hit(Hit<Article> hit) {
        return Map.of("id", hit.id(), "score", hit.score(), "source", hit.source());
    }

    static List<String> ids(HitsMetadata<Article> found) {
        return found.hits().stream().map(Hit::id).toList();
    }

    static Map<String, Object> features(SearchResponse<Article> answer) {
        var hits = answer.hits().hits();
        var buckets = answer.aggregations().get("tags").sterms().buckets().array();
        var options = answer.suggest().get("spelling").get(0).term().options();
        return Map.of(
            "ids", ids(answer.hits()),
            "tags", buckets.stream().collect(
                Collectors.toMap(bucket -> bucket.key().stringValue(), StringTermsBucket::docCount)),
            "suggested", options.stream().map(TermSuggestOption::text).toList(),
            "profiled", answer.profile().shards().size(),
            "highlights", hits.stream().map(hit -> hit.highlight().get("title")).toList(),
            "explained", hits.stream().map(hit -> hit.explanation().value()).toList(),
            "explanations", hits.stream().map(hit -> hit.explanation().description()).toList(),
            "first_stage_ranks", hits.stream().map(
                hit -> hit.fields().get("_rescore.first_stage_rank").to(List.class)).toList());
    }

    static Map<String, Object> bulk(BulkResponse answer) {
        return Map.of("errors", answer.errors(), "items", answer.items().stream().map(Seen::written).toList());
    }

    private static List<Object> written(BulkResponseItem item) {
        return Arrays.asList(item.status(), item.error() == null ? null : item.error().type());
    }

    static Object item(MultiSearchResponseItem<Article> item) {
        return item.isFailure()
            ? Map.of("status", item.failure().status(), "type", item.failure().error().type())
            : ids(item.result().hits());
    }

    static Map<String, Object> failure(Call call) throws IOException {
        try {
            call.run();
            return Map.of();
        } catch (ElasticsearchException raised) {
            return failure(raised, raised.response());
        } catch (ResponseException raised) {
            // The transport under the typed client keeps 502, 503 and 504 to itself: it counts them as a dead node.
            var mapper = new JacksonJsonpMapper();
            var parser = mapper.jsonProvider().createParser(raised.getResponse().getEntity().getContent());
            return failure(raised, mapper.deserialize(parser, ErrorResponse.class));
        }
    }

    private static Map<String, Object> failure(Exception raised, ErrorResponse answer) {
        String name = raised.getClass().getSimpleName();
        return Map.of("exception", name, "status", answer.status(), "type", answer.error().type());
    }
}
