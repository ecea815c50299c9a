package main

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v9"
	"github.com/elastic/go-elasticsearch/v9/typedapi/core/search"
	"github.com/elastic/go-elasticsearch/v9/typedapi/types"
	"github.com/elastic/go-elasticsearch/v9/typedapi/types/enums/operationtype"
)

// client is a typed client that keeps the `X-Rescore` header of the last answer: typed answers have no headers.
type client struct {
	*elasticsearch.TypedClient
	outcome string
}

func connect(url string) *client {
	c := &client{}
	keep := func(next elastictransport.RoundTripFunc) elastictransport.RoundTripFunc {
		return func(request *http.Request) (*http.Response, error) {
			answer, err := next(request)
			if err == nil {
				c.outcome = answer.Header.Get("X-Rescore")
			}
			return answer, err
		}
	}
	intercept := elasticsearch.WithTransportOptions(elastictransport.WithInterceptors(keep))
	c.TypedClient = must(elasticsearch.NewTyped(elasticsearch.WithAddresses(url), intercept))
	return c
}

func fox(size int) *search.Request {
	match := map[string]types.MatchQuery{"title": {Query: "fox"}}
	return &search.Request{Query: &types.Query{Match: match}, Size: &size}
}

func ext(rescore string) map[string]json.RawMessage {
	return map[string]json.RawMessage{"rescore": json.RawMessage(rescore)}
}

func (c *client) page(answer *search.Response) map[string]any {
	hits := []any{}
	for _, hit := range answer.Hits.Hits {
		hits = append(hits, map[string]any{"id": hit.Id_, "score": hit.Score_, "source": article(hit.Source_)})
	}
	return map[string]any{
		"outcome":   c.outcome,
		"total":     answer.Hits.Total,
		"max_score": answer.Hits.MaxScore,
		"hits":      hits,
	}
}

func ids(hits []types.Hit) []string {
	found := []string{}
	for _, hit := range hits {
		found = append(found, *hit.Id_)
	}
	return found
}

func hitFeatures(hits []types.Hit) map[string]any {
	var highlights, explained, explanations, ranks []any
	for _, hit := range hits {
		highlights = append(highlights, hit.Highlight["title"])
		explained = append(explained, hit.Explanation_.Value)
		explanations = append(explanations, hit.Explanation_.Description)
		ranks = append(ranks, hit.Fields["_rescore.first_stage_rank"])
	}
	return map[string]any{
		"highlights":        highlights,
		"explained":         explained,
		"explanations":      explanations,
		"first_stage_ranks": ranks,
	}
}

func counts(terms *types.StringTermsAggregate) map[string]int64 {
	found := map[string]int64{}
	for _, bucket := range terms.Buckets.([]types.StringTermsBucket) {
		found[bucket.Key.(string)] = bucket.DocCount
	}
	return found
}

func suggested(entry *types.TermSuggest) []string {
	texts := []string{}
	for _, option := range entry.Options {
		texts = append(texts, option.Text)
	}
	return texts
}

func written(items []map[operationtype.OperationType]types.ResponseItem) []any {
	found := []any{}
	for _, item := range items {
		for _, result := range item {
			var kind *string
			if result.Error != nil {
				kind = &result.Error.Type
			}
			found = append(found, []any{result.Status, kind})
		}
	}
	return found
}

func failure(err error) map[string]any {
	var raised *types.ElasticsearchError
	if !errors.As(err, &raised) {
		panic(err)
	}
	return map[string]any{"exception": "ElasticsearchError", "status": raised.Status, "type": raised.ErrorCause.Type}
}

func article(source json.RawMessage) Article {
	var found Article
	check(json.Unmarshal(source, &found))
	return found
}

func pointer[T any](value T) *T { return &value }

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
