import com.fasterxml.jackson.annotation.JsonInclude;

/** A document of the index `articles`; the mapper refuses members that it does not name. */
@JsonInclude(JsonInclude.Include.NON_NULL)
record Article(String title, String body, int n, String tag) {
    Article(String title, int n) {
        this(title, null, n, null);
    }
}
