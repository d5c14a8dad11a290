package deploy_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/vendstream/vendstream/internal/config"
)

type compose struct {
	Services map[string]service        `yaml:"services"`
	Volumes  map[string]map[string]any `yaml:"volumes"`
}

type service struct {
	Image       string            `yaml:"image"`
	Build       *build            `yaml:"build"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	Ports       []string          `yaml:"ports"`
	ReadOnly    bool              `yaml:"read_only"`
	CapDrop     []string          `yaml:"cap_drop"`
	StopGrace   string            `yaml:"stop_grace_period"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Healthcheck *struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
}

type build struct {
	Context    string `yaml:"context"`
	Dockerfile string `yaml:"dockerfile"`
	Target     string `yaml:"target"`
}

const (
	composeFile = "docker-compose.yml"
	configFile  = "deploy/vendstream.yaml"
)

// composed is the compose file with the configuration that it mounts.
func composed(t *testing.T) (compose, *config.Config) {
	t.Helper()
	var c compose
	parse(t, composeFile, &c)
	cfg, warnings, err := config.Load(config.Options{
		Environ: append(environ(c.Services["consumer"].Environment), "VENDSTREAM_CONFIG="+filepath.Join(root, configFile)),
	})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%s: %v %v", configFile, warnings, err)
	}
	return c, cfg
}

func TestComposeServices(t *testing.T) {
	c, cfg := composed(t)
	for _, name := range []string{"nats", "redis", "simulator", "provision", "consumer", "poller"} {
		if _, there := c.Services[name]; !there {
			t.Errorf("there is no service %s", name)
		}
	}
	stages := dockerfile(t)
	used := map[string]bool{}
	for name, s := range c.Services {
		t.Run(name, func(t *testing.T) {
			if s.Build != nil {
				if s.Build.Context != "." || s.Build.Dockerfile != "deploy/Dockerfile" {
					t.Errorf("built from %+v", s.Build)
				}
				if _, there := stages[s.Build.Target]; !there {
					t.Fatalf("the Dockerfile has no stage %q", s.Build.Target)
				}
				checkCommand(t, s.Build.Target, s.Command)
				checkVariables(t, name, s.Environment, cfg)
				if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") {
					t.Error("is not read-only without capabilities")
				}
			} else if !pinned.MatchString(s.Image) {
				t.Errorf("image %s has no whole version", s.Image)
			}
			var mounted []string
			for _, volume := range s.Volumes {
				parts := strings.Split(volume, ":")
				if strings.HasPrefix(parts[0], "./") {
					if info, err := os.Stat(filepath.Join(root, parts[0])); err != nil || info.IsDir() {
						t.Errorf("mounts %s, which is no file here", parts[0])
					}
					if len(parts) != 3 || parts[2] != "ro" {
						t.Errorf("mounts %s writable", volume)
					}
				} else if _, there := c.Volumes[parts[0]]; !there {
					t.Errorf("volume %s is not declared", parts[0])
				}
				used[parts[0]] = true
				mounted = append(mounted, parts[1])
			}
			for _, path := range append(slices.Clone(s.Command), s.Environment["VENDSTREAM_CONFIG"]) {
				if strings.HasPrefix(path, "/") && !slices.Contains(mounted, path) {
					t.Errorf("uses %s, which is not mounted", path)
				}
			}
			for on, how := range s.DependsOn {
				other, there := c.Services[on]
				switch {
				case !there:
					t.Errorf("depends on %s, which is not there", on)
				case how.Condition == "service_healthy" && other.Healthcheck == nil:
					t.Errorf("waits for the health of %s, which is not checked", on)
				case how.Condition == "service_completed_successfully" && on != "provision":
					t.Errorf("waits for the end of %s, which does not end", on)
				}
			}
		})
	}
	for name := range c.Volumes {
		if !used[name] {
			t.Errorf("volume %s is not used", name)
		}
	}
}

// listens are the ports that a service listens on, and the paths that answer on
// them with 200.
func listens(t *testing.T, c compose, cfg *config.Config) map[string]map[string][]string {
	t.Helper()
	nats, err := server.ProcessConfigFile(filepath.Join(root, "deploy/nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	simulated := ""
	for i, arg := range c.Services["simulator"].Command {
		if arg == "--addr" {
			simulated = c.Services["simulator"].Command[i+1]
		}
	}
	daemon := map[string][]string{port(t, cfg.HTTP.Addr): {"/healthz", "/readyz", "/metrics"}}
	return map[string]map[string][]string{
		"nats":      {itoa(nats.Port): nil, itoa(nats.HTTPPort): {"/healthz"}},
		"redis":     {redisPort(t): nil},
		"simulator": {port(t, simulated): {"/_simulator/stats", "/_simulator/ledger"}},
		"consumer":  daemon,
		"poller":    daemon,
	}
}

var (
	published = regexp.MustCompile(`^127\.0\.0\.1:([0-9]+):([0-9]+)$`)
	address   = regexp.MustCompile(`http://127\.0\.0\.1:([0-9]+)(/\S*)`)
)

func TestComposePorts(t *testing.T) {
	c, cfg := composed(t)
	open := listens(t, c, cfg)
	hosts := map[string]string{}
	for name, s := range c.Services {
		for _, p := range s.Ports {
			m := published.FindStringSubmatch(p)
			if m == nil {
				t.Errorf("%s publishes %s, which is not 127.0.0.1:PORT:PORT", name, p)
				continue
			}
			if other, twice := hosts[m[1]]; twice {
				t.Errorf("%s and %s publish the same port %s", name, other, m[1])
			}
			hosts[m[1]] = name
			if _, there := open[name][m[2]]; !there {
				t.Errorf("%s publishes %s and does not listen there", name, m[2])
			}
		}
		if s.Healthcheck == nil {
			continue
		}
		if m := address.FindStringSubmatch(strings.Join(s.Healthcheck.Test, " ")); m != nil && !slices.Contains(open[name][m[1]], m[2]) {
			t.Errorf("%s is checked at %s, where it does not answer", name, m[0])
		}
	}
	reached := []string{cfg.NATS.URL.Reveal(), cfg.Redis.URL.Reveal()}
	for _, account := range cfg.Accounts {
		reached = append(reached, account.BaseURL)
	}
	for _, text := range reached {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, there := open[u.Hostname()][u.Port()]; !there {
			t.Errorf("%s: no service listens at %s", configFile, text)
		}
	}
}

func TestComposeStopsInTime(t *testing.T) {
	c, cfg := composed(t)
	for _, name := range []string{"consumer", "poller"} {
		if grace, err := time.ParseDuration(c.Services[name].StopGrace); err != nil || grace <= stopTime(cfg) {
			t.Errorf("%s: stop_grace_period %q, need more than %s", name, c.Services[name].StopGrace, stopTime(cfg))
		}
	}
}

// TestConfigCheck asks the program itself, with the variables of the compose file.
func TestConfigCheck(t *testing.T) {
	c, _ := composed(t)
	env := environ(c.Services["consumer"].Environment)
	if out, err := program(t, env, "vendstream", "config", "check", "--config", configFile); err != nil {
		t.Errorf("config check: %v\n%s", err, out)
	}
	if out, err := program(t, nil, "vendstream", "config", "check", "--config", configFile); err == nil {
		t.Errorf("config check passes without the account's password:\n%s", out)
	}
}
