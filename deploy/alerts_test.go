package deploy_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vendstream/vendstream/internal/telemetry"
)

var (
	metricName  = regexp.MustCompile(`vendstream_[a-z_]+`)
	description = regexp.MustCompile(`fqName: "([a-z_]+)".*variableLabels: \{([a-z_,]*)\}`)
	matcher     = regexp.MustCompile(`([a-z_]+) *(?:=~|!~|!=|=) *"`)
	grouping    = regexp.MustCompile(`by \(([a-z_, ]+)\)`)
	inSummary   = regexp.MustCompile(`\$labels\.([a-z_]+)`)
)

// metrics are the labels of every metric of the pipeline, by its name.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	fields := reflect.ValueOf(telemetry.NewMetrics(prometheus.NewRegistry())).Elem()
	for i := range fields.NumField() {
		collector, ok := fields.Field(i).Interface().(prometheus.Collector)
		if !ok {
			t.Fatalf("%s is no collector", fields.Type().Field(i).Name)
		}
		described := make(chan *prometheus.Desc, 10)
		collector.Describe(described)
		close(described)
		for d := range described {
			m := description.FindStringSubmatch(d.String())
			if m == nil {
				t.Fatalf("cannot read %s", d)
			}
			found[m[1]] = strings.Split(m[2], ",")
		}
	}
	return found
}

func TestAlerts(t *testing.T) {
	known := metrics(t)
	for name := range known {
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if strings.HasSuffix(name, "_seconds") {
				known[name+suffix] = append(slices.Clone(known[name]), "le")
			}
		}
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	parse(t, "deploy/prometheus/alerts.yaml", &file)
	runbook := read(t, "docs/runbook.md")
	seen := 0
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			seen++
			t.Run(rule.Alert, func(t *testing.T) {
				var labels []string
				names := metricName.FindAllString(rule.Expr, -1)
				if len(names) == 0 {
					t.Error("asks for no metric of the pipeline")
				}
				for _, name := range names {
					if _, there := known[name]; !there {
						t.Errorf("there is no metric %s", name)
					}
					labels = append(labels, known[name]...)
				}
				var used []string
				for _, m := range matcher.FindAllStringSubmatch(rule.Expr, -1) {
					used = append(used, m[1])
				}
				for _, m := range grouping.FindAllStringSubmatch(rule.Expr, -1) {
					used = append(used, strings.Split(strings.ReplaceAll(m[1], " ", ""), ",")...)
				}
				for _, m := range inSummary.FindAllStringSubmatch(rule.Annotations["summary"], -1) {
					used = append(used, m[1])
				}
				for _, label := range used {
					if !slices.Contains(labels, label) {
						t.Errorf("label %s is of none of %v", label, names)
					}
				}
				if strings.Count(rule.Expr, "(") != strings.Count(rule.Expr, ")") {
					t.Error("brackets do not match")
				}
				if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" {
					t.Error("has no severity or summary")
				}
				if rule.Annotations["runbook"] != "docs/runbook.md#"+strings.ToLower(rule.Alert) ||
					!strings.Contains(runbook, "\n## "+rule.Alert+"\n") {
					t.Error("the runbook does not have it")
				}
			})
		}
	}
	if seen == 0 {
		t.Error("there are no alerts")
	}
}
