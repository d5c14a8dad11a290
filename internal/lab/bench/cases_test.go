package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/output"
)

func someCases() *cases {
	c := &cases{measures: []measure{{"rate", "1/s", 0}, {"memory", "MB", 1}}}
	// The one that others are held against may come later.
	c.add("four", "one", figures{"rate": 40, "memory": 9})
	c.add("four", "one", figures{"rate": 60})
	c.add("one", "", figures{"rate": 10, "memory": 3})
	c.add("one", "", figures{"rate": 12, "memory": 3, "unknown": 1})
	return c
}

func TestCasesPairByRounds(t *testing.T) {
	got := someCases().records()
	if len(got) != 4 {
		t.Fatalf("%+v", got)
	}
	rate := got[0]
	if rate.Case != "four" || rate.Measure != "rate" || rate.Rounds != 2 || *rate.Figure != (spread{50, 40, 60}) ||
		rate.RatioTo != "one" || *rate.Ratio != (spread{4.5, 4, 5}) {
		t.Errorf("%+v", rate)
	}
	// One round has no memory: which it was nobody knows, so there is no ratio.
	if memory := got[1]; memory.Measure != "memory" || memory.Rounds != 1 || memory.Ratio != nil || memory.RatioTo != "" {
		t.Errorf("%+v", memory)
	}
	if one := got[2]; one.Case != "one" || one.Ratio != nil {
		t.Errorf("%+v", one)
	}
}

func TestCasesInEveryFormat(t *testing.T) {
	for format, want := range map[output.Format][]string{
		output.Table: {"four", "50 (40–60)", "4.50 (4.00–5.00)", "9.0"},
		output.CSV:   {"case,measure,unit,rounds,figure,figure_min,figure_max,ratio_to,ratio,ratio_min,ratio_max", "four,rate,1/s,2,50,40,60,one,4.5,4,5", "one,rate,1/s,2,11,10,12,,,,"},
		output.JSONL: {`"ratio":null`, `"figure":{"median":50,"min":40,"max":60}`},
	} {
		var out bytes.Buffer
		if err := someCases().print(&out, format); err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%s: no %q in\n%s", format, part, out.String())
			}
		}
	}
	var out bytes.Buffer
	if err := someCases().print(&out, output.JSON); err != nil {
		t.Fatal(err)
	}
	var records []caseRecord
	if err := json.Unmarshal(out.Bytes(), &records); err != nil || len(records) != 4 {
		t.Errorf("%v in\n%s", err, out.String())
	}
}

func TestWhatWasMeasuredIsNotLost(t *testing.T) {
	var out bytes.Buffer
	wrong := errors.New("no disk")
	if err := someCases().spoiled(wrong, &out, output.Table); !errors.Is(err, wrong) || !strings.Contains(out.String(), "four") {
		t.Errorf("%v\n%s", err, out.String())
	}
	out.Reset()
	if err := (&cases{}).spoiled(wrong, &out, output.JSON); !errors.Is(err, wrong) || out.Len() > 0 {
		t.Errorf("%v\n%s", err, out.String())
	}
}
