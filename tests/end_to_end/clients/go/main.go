// Command client runs the Go client's typed API through the sidecar and prints what it saw (see ../programs.py).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/elastic/go-elasticsearch/v9"
	scrolling "github.com/elastic/go-elasticsearch/v9/typedapi/core/scroll"
	"github.com/elastic/go-elasticsearch/v9/typedapi/core/search"
	"github.com/elastic/go-elasticsearch/v9/typedapi/types"
	"github.com/elastic/go-elasticsearch/v9/typedapi/types/enums/refresh"
)

var ctx = context.Background()

// Article is a document of the index `articles`.
type Article struct {
	Title string `json:"title"`
	Body  string `json:"body,omitempty"`
	N     int    `json:"n"`
	Tag   string `json:"tag,omitempty"`
}

func main() {
	sidecar, unreachable := connect(os.Args[1]), connect(os.Args[2])
	seen := map[string]any{
		"version":   elasticsearch.Version,
		"documents": attempt(func() map[string]any { return documents(sidecar, os.Args[3]) }),
		"search":    attempt(func() map[string]any { return narrowed(sidecar) }),
		"features":  attempt(func() map[string]any { return features(sidecar) }),
		"msearch":   attempt(func() map[string]any { return msearch(sidecar) }),
		"scroll":    attempt(func() map[string]any { return scroll(sidecar) }),
		"pit":       attempt(func() map[string]any { return pointInTime(sidecar) }),
		"errors":    attempt(func() map[string]any { return failures(sidecar, unreachable) }),
	}
	check(json.NewEncoder(os.Stdout).Encode(seen))
}

func attempt(part func() map[string]any) (seen map[string]any) {
	defer func() {
		if raised := recover(); raised != nil {
			seen = map[string]any{"raised": fmt.Sprint(raised)}
		}
	}()
	return part()
}

func documents(c *client, index string) map[string]any {
	indexed := must(c.Index(index).Id("1").Document(Article{Title: "one", N: 1}).Refresh(refresh.True).Do(ctx))
	got := must(c.Get(index, "1").Do(ctx))
	bulk := c.Bulk().Index(index).Refresh(refresh.True)
	check(bulk.IndexOp(types.IndexOperation{Id_: pointer("2")}, Article{Title: "two", N: 2}))
	check(bulk.IndexOp(types.IndexOperation{Id_: pointer("3")}, Article{Title: "three", N: 3}))
	check(bulk.CreateOp(types.CreateOperation{Id_: pointer("1")}, Article{Title: "again", N: 1}))
	bulked := must(bulk.Do(ctx))
	count := must(c.Count().Index(index).Do(ctx))
	deleted := must(c.Delete(index, "1").Do(ctx))
	return map[string]any{
		"index":  indexed.Result,
		"source": article(got.Source_),
		"bulk":   map[string]any{"errors": bulked.Errors, "items": written(bulked.Items)},
		"count":  count.Count,
		"delete": deleted.Result,
	}
}

func narrowed(c *client) map[string]any {
	request := fox(20)
	request.Ext = ext(`{"window_size": 50}`)
	return c.page(must(c.Search().Index("articles").Request(request).Do(ctx)))
}

func features(c *client) map[string]any {
	request := fox(3)
	request.Aggregations = map[string]types.Aggregations{"tags": {Terms: &types.TermsAggregation{Field: pointer("tag")}}}
	request.Highlight = &types.Highlight{Fields: []map[string]types.HighlightField{{"title": {}}}}
	term := types.FieldSuggester{Text: pointer("foxx"), Term: &types.TermSuggester{Field: "title"}}
	request.Suggest = &types.Suggester{Suggesters: map[string]types.FieldSuggester{"spelling": term}}
	request.Explain, request.Profile = pointer(true), pointer(true)
	request.Ext = ext(`{"explain": true}`)
	answer := must(c.Search().Index("articles").Request(request).Do(ctx))
	seen := hitFeatures(answer.Hits.Hits)
	seen["ids"] = ids(answer.Hits.Hits)
	seen["tags"] = counts(answer.Aggregations["tags"].(*types.StringTermsAggregate))
	seen["suggested"] = suggested(answer.Suggest["spelling"][0].(*types.TermSuggest))
	seen["profiled"] = len(answer.Profile.Shards)
	return seen
}

func msearch(c *client) map[string]any {
	searches := c.Msearch()
	add := func(index string, size *int) {
		body := types.SearchRequestBody{Query: fox(0).Query, Size: size}
		check(searches.AddSearch(types.MultisearchHeader{Index: []string{index}}, body))
	}
	add("articles", pointer(5))
	add("missing", nil)
	add("articles", pointer(2))
	answer := must(searches.Do(ctx))
	items := []any{}
	for _, item := range answer.Responses {
		switch item := item.(type) {
		case *types.MultiSearchItem:
			items = append(items, ids(item.Hits.Hits))
		case *types.ErrorResponseBase:
			items = append(items, map[string]any{"status": item.Status, "type": item.Error.Type})
		}
	}
	return map[string]any{"outcome": c.outcome, "items": items}
}

func scroll(c *client) map[string]any {
	first := must(c.Search().Index("articles").Request(fox(120)).Scroll("1m").Do(ctx))
	outcome, found := c.outcome, ids(first.Hits.Hits)
	id := *first.ScrollId_
	for {
		next := must(c.Scroll().Request(&scrolling.Request{ScrollId: id, Scroll: "1m"}).Do(ctx))
		if len(next.Hits.Hits) == 0 {
			break
		}
		id, found = *next.ScrollId_, append(found, ids(next.Hits.Hits)...)
	}
	cleared := must(c.ClearScroll().ScrollId(id).Do(ctx))
	return map[string]any{"outcome": outcome, "ids": found, "cleared": cleared.Succeeded}
}

func pointInTime(c *client) map[string]any {
	pit := must(c.OpenPointInTime("articles").KeepAlive("1m").Do(ctx))
	request := fox(10)
	request.Pit = &types.PointInTimeReference{Id: pit.Id, KeepAlive: "1m"}
	found := c.page(must(c.Search().Request(request).Do(ctx)))
	closed := must(c.ClosePointInTime().Id(pit.Id).Do(ctx))
	_, err := c.Search().Request(request).Do(ctx)
	return map[string]any{"search": found, "closed": closed.Succeeded, "afterwards": failure(err)}
}

func failures(c, unreachable *client) map[string]any {
	malformed, overridden := fox(10), fox(10)
	malformed.Query = &types.Query{AdditionalQueryProperty: map[string]json.RawMessage{"nope": []byte("{}")}}
	overridden.Ext = ext(`{"window_size": "ten"}`)
	ask := func(c *client, index string, request *search.Request) map[string]any {
		_, err := c.Search().Index(index).Request(request).Do(ctx)
		return failure(err)
	}
	return map[string]any{
		"missing_index":   ask(c, "missing", fox(10)),
		"malformed_query": ask(c, "articles", malformed),
		"bad_override":    ask(c, "articles", overridden),
		"unreachable":     ask(unreachable, "articles", fox(10)),
	}
}
