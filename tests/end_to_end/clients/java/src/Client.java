import co.elastic.clients.elasticsearch.ElasticsearchClient;
import co.elastic.clients.elasticsearch._types.Refresh;
import co.elastic.clients.elasticsearch._types.query_dsl.Query;
import co.elastic.clients.elasticsearch.core.SearchRequest;
import co.elastic.clients.elasticsearch.core.search.HighlightField;
import co.elastic.clients.json.JsonData;
import co.elastic.clients.json.jackson.JacksonJsonpMapper;
import co.elastic.clients.transport.Version;
import co.elastic.clients.transport.rest5_client.Rest5ClientTransport;
import co.elastic.clients.transport.rest5_client.low_level.Rest5Client;
import co.elastic.clients.util.NamedValue;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.hc.core5.http.Header;

/** The Java client, its strict deserialisers included, through the sidecar: prints what it saw (see ../programs.py). */
final class Client implements AutoCloseable {
    private static final Query FOX = Query.of(query -> query.match(match -> match.field("title").query("fox")));

    /** The `X-Rescore` header of the last answer: typed answers have no headers. */
    private final AtomicReference<String> outcome = new AtomicReference<>();
    private final ElasticsearchClient elasticsearch;

    private Client(String url) {
        var rest = Rest5Client.builder(URI.create(url)).setHttpClientConfigCallback(http ->
            http.addResponseInterceptorLast((answer, entity, context) -> {
                Header header = answer.getFirstHeader("X-Rescore");
                outcome.set(header == null ? null : header.getValue());
            })
        ).build();
        elasticsearch = new ElasticsearchClient(new Rest5ClientTransport(rest, new JacksonJsonpMapper()));
    }

    public static void main(String[] arguments) throws Exception {
        try (var client = new Client(arguments[0]); var unreachable = new Client(arguments[1])) {
            var seen = new LinkedHashMap<String, Object>();
            seen.put("version", Version.VERSION.toString());
            seen.put("documents", attempt(() -> client.documents(arguments[2])));
            seen.put("search", attempt(() -> client.search()));
            seen.put("features", attempt(() -> client.features()));
            seen.put("msearch", attempt(() -> client.msearch()));
            seen.put("scroll", attempt(() -> client.scroll()));
            seen.put("pit", attempt(() -> client.pointInTime()));
            seen.put("errors", attempt(() -> client.errors(unreachable)));
            System.out.println(new ObjectMapper().writeValueAsString(seen));
        }
    }

    private static Object attempt(Callable<Map<String, Object>> part) {
        try {
            return part.call();
        } catch (Exception raised) {
            return Map.of("raised", raised + ", caused by " + raised.getCause());
        }
    }

    private Map<String, Object> documents(String index) throws IOException {
        var indexed = elasticsearch.index(request ->
            request.index(index).id("1").document(new Article("one", 1)).refresh(Refresh.True));
        var source = elasticsearch.get(request -> request.index(index).id("1"), Article.class).source();
        var bulk = elasticsearch.bulk(request -> request.index(index).refresh(Refresh.True)
            .operations(one -> one.index(operation -> operation.id("2").document(new Article("two", 2))))
            .operations(one -> one.index(operation -> operation.id("3").document(new Article("three", 3))))
            .operations(one -> one.create(operation -> operation.id("1").document(new Article("again", 1)))));
        var count = elasticsearch.count(request -> request.index(index)).count();
        var deleted = elasticsearch.delete(request -> request.index(index).id("1"));
        return Map.of(
            "index", indexed.result().jsonValue(),
            "source", source,
            "bulk", Seen.bulk(bulk),
            "count", count,
            "delete", deleted.result().jsonValue());
    }

    private Map<String, Object> search() throws IOException {
        var answer = elasticsearch.search(
            request -> request.index("articles").query(FOX).size(20).ext("rescore", JsonData.of(Map.of("window_size", 50))),
            Article.class);
        return Seen.page(outcome.get(), answer);
    }

    private Map<String, Object> features() throws IOException {
        var answer = elasticsearch.search(request -> request.index("articles").query(FOX).size(3)
            .aggregations("tags", tags -> tags.terms(terms -> terms.field("tag")))
            .highlight(highlight -> highlight.fields(NamedValue.of("title", HighlightField.of(field -> field))))
            .suggest(suggest -> suggest.suggesters(
                "spelling", spelling -> spelling.text("foxx").term(term -> term.field("title"))))
            .explain(true)
            .profile(true)
            .ext("rescore", JsonData.of(Map.of("explain", true))), Article.class);
        return Seen.features(answer);
    }

    private Map<String, Object> msearch() throws IOException {
        var answer = elasticsearch.msearch(request -> request
            .searches(one -> one.header(header -> header.index("articles")).body(body -> body.query(FOX).size(5)))
            .searches(one -> one.header(header -> header.index("missing")).body(body -> body.query(FOX)))
            .searches(one -> one.header(header -> header.index("articles")).body(body -> body.query(FOX).size(2))),
            Article.class);
        return Map.of("outcome", outcome.get(), "items", answer.responses().stream().map(Seen::item).toList());
    }

    private Map<String, Object> scroll() throws IOException {
        var first = elasticsearch.search(
            request -> request.index("articles").query(FOX).size(120).scroll(keep -> keep.time("1m")), Article.class);
        String outcome = this.outcome.get();
        List<String> found = new ArrayList<>(Seen.ids(first.hits()));
        String id = first.scrollId();
        while (true) {
            String last = id;
            var next = elasticsearch.scroll(
                request -> request.scrollId(last).scroll(keep -> keep.time("1m")), Article.class);
            if (next.hits().hits().isEmpty()) break;
            found.addAll(Seen.ids(next.hits()));
            id = next.scrollId();
        }
        String last = id;
        boolean cleared = elasticsearch.clearScroll(request -> request.scrollId(last)).succeeded();
        return Map.of("outcome", outcome, "ids", found, "cleared", cleared);
    }

    private Map<String, Object> pointInTime() throws IOException {
        String id = elasticsearch.openPointInTime(
            request -> request.index("articles").keepAlive(keep -> keep.time("1m"))).id();
        var request = SearchRequest.of(search -> search.query(FOX).size(10)
            .pit(pit -> pit.id(id).keepAlive(keep -> keep.time("1m"))));
        var answer = elasticsearch.search(request, Article.class);
        var found = Seen.page(outcome.get(), answer);
        boolean closed = elasticsearch.closePointInTime(close -> close.id(id)).succeeded();
        return Map.of("search", found, "closed", closed, "afterwards", failure(request));
    }

    private Map<String, Object> errors(Client unreachable) throws IOException {
        var malformed = SearchRequest.of(search ->
            search.index("articles").query(query -> query._custom("nope", Map.of())));
        var overridden = SearchRequest.of(search ->
            search.index("articles").query(FOX).ext("rescore", JsonData.of(Map.of("window_size", "ten"))));
        return Map.of(
            "missing_index", failure(SearchRequest.of(search -> search.index("missing").query(FOX))),
            "malformed_query", failure(malformed),
            "bad_override", failure(overridden),
            "unreachable", unreachable.failure(SearchRequest.of(search -> search.index("articles").query(FOX))));
    }

    private Map<String, Object> failure(SearchRequest request) throws IOException {
        return Seen.failure(() -> elasticsearch.search(request, Article.class));
    }

    @Override
    public void close() throws IOException {
        elasticsearch.close();
    }
}
