import java.lang.reflect.Method;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginBundle;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * Runs one Elasticsearch node from the jars on the module path: NodeLauncher HOME [setting=value ...].
 *
 * The distribution's own bootstrap also refuses root, installs seccomp and the entitlement agent and reads a keystore.
 * A node for tests on loopback needs none of these, and the published jars lack parts of them.
 */
public final class NodeLauncher {
    private NodeLauncher() {}

    public static void main(String[] args) {
        try {
            start(Path.of(args[0]), args);
        } catch (Throwable failure) {
            failure.printStackTrace();
            Runtime.getRuntime().halt(1); // threads of a node that is half built would keep the process alive
        }
    }

    private static void start(Path home, String[] args) throws Exception {
        LogConfigurator.configureESLogging(); // before any class of the server asks for a logger
        Environment environment = InternalSettingsPreparer.prepareEnvironment(settings(home, args), Map.of(), null, () -> "node-1");
        LogConfigurator.setNodeName(Node.NODE_NAME_SETTING.get(environment.settings()));
        LogConfigurator.configure(environment, true);
        Node node = new Node(environment, PluginsLoader.createPluginsLoader(bundles(home.resolve("modules")), Set.of(), Map.of()));
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, closed), "node-shutdown"));
        node.start();
        closed.await(); // the node's own threads are daemons
    }

    private static Settings settings(Path home, String[] args) {
        Settings.Builder settings = Settings.builder().put("path.home", home.toString());
        for (int i = 1; i < args.length; i++) {
            String[] pair = args[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        return settings.build();
    }

    private static void close(Node node, CountDownLatch closed) {
        try {
            node.prepareForClose();
            node.close();
            node.awaitClose(10, TimeUnit.SECONDS);
        } catch (Exception failure) {
            failure.printStackTrace();
        } finally {
            closed.countDown();
        }
    }

    /** 9.x added a second parameter (stateless); everything else is alike in 8.19. */
    @SuppressWarnings("unchecked")
    private static Set<PluginBundle> bundles(Path directory) throws Exception {
        for (Method method : PluginsLoader.class.getMethods()) {
            if (method.getName().equals("loadModulesBundles")) {
                Object[] arguments = method.getParameterCount() == 1 ? new Object[] {directory} : new Object[] {directory, false};
                return (Set<PluginBundle>) method.invoke(null, arguments);
            }
        }
        throw new NoSuchMethodException("PluginsLoader.loadModulesBundles");
    }
}
